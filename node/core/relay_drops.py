"""What a relay could not deliver, and why: packets and bytes, by reason and kind."""

from __future__ import annotations

from collections import Counter

# Of the names that dashboards know, these are never counted by us: a full queue loses its head, never
# its tail, and of several connections with one key the last to speak receives.
REASONS = (
    "unknown_dest", "unknown_dest_on_fwd", "gone_disconnected", "queue_head", "queue_tail",
    "write_error", "dup_client",
)  # fmt: skip
KINDS = ("disco", "other")


class Drops:
    __slots__ = ("bytes", "packets")

    def __init__(self) -> None:
        self.packets: Counter[tuple[str, str]] = Counter()  # by reason and kind, as are
        self.bytes: Counter[tuple[str, str]] = Counter()

    def count(self, reason: str, kind: str, size: int) -> None:
        """One packet of `size` bytes."""
        self.packets[reason, kind] += 1
        self.bytes[reason, kind] += size

    def add(self, other: Drops | None) -> None:
        if other is not None:
            self.packets.update(other.packets)
            self.bytes.update(other.bytes)
