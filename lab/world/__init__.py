"""Makes the lab so: the only wing with netlink. Runs inside the lab's own namespaces."""
