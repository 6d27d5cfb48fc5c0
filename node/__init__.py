"""The node: a userspace WireGuard daemon that starts through a DERP relay and finds direct paths."""
