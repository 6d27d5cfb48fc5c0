"""The lab: a small private internet of network namespaces, one process tree each."""
