"""The zeros behind a packet, so that its length tells less (WireGuard paper §5.4.6)."""

from __future__ import annotations

MULTIPLE = 16  # bytes


def padding(size: int, mtu: int) -> int:
    """Up to a multiple of 16, but a packet that fits the MTU stays within it."""
    last = size % mtu if size > mtu else size
    return min(-(-last // MULTIPLE) * MULTIPLE, mtu) - last


def padded(length: int, mtu: int) -> int:
    return length + padding(length, mtu)
