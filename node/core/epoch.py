"""A router's epoch: the seconds for which it has kept its mappings. When it goes back, they are lost."""

from __future__ import annotations

from msgspec import Struct

SLACK = 2.0  # seconds that an answer may take, or a clock be off


class Epoch(Struct, frozen=True):
    """A gateway's clock (s), as read at a time of ours (RFC 6886 §3.6)."""

    seconds: int
    at: float

    def has_restarted(self, seconds: int, now: float) -> bool:
        """RFC 6886 §3.6: its clock is at least seven eighths as fast as ours."""
        return seconds < self.seconds + 7 / 8 * (now - self.at) - SLACK

    def is_another(self, seconds: int, now: float) -> bool:
        """RFC 6887 §8.5: its clock and ours have gone on by the same, give or take a sixteenth."""
        ours, its = now - self.at, seconds - self.seconds
        if its < -1:
            return True
        return ours + SLACK < its - its / 16 or its + SLACK < ours - ours / 16
