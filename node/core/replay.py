"""The sliding window that accepts each counter once (RFC 6479's window, kept in one integer).

`highest` is the greatest counter accepted; bit i of the bitmap stands for the counter `highest - i`.
Counters come here only after their packet was authenticated, or a forger could move the window. A batch
usually is one ascending run: that is one shift, whatever its length.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.core.limits import REJECT_AFTER_MESSAGES, REPLAY_WINDOW

_MASK = (1 << (REPLAY_WINDOW + 1)) - 1


class ReplayWindow:
    __slots__ = ("_bitmap", "highest")

    def __init__(self) -> None:
        self.highest = -1
        self._bitmap = 0

    def accept(self, counter: int) -> bool:
        """True the first time, while the counter is in the window."""
        if counter >= REJECT_AFTER_MESSAGES:
            return False
        ahead = counter - self.highest
        if ahead > 0:
            self._advance(ahead, 1)
            return True
        if -ahead > REPLAY_WINDOW or self._bitmap >> -ahead & 1:
            return False
        self._bitmap |= 1 << -ahead
        return True

    def accept_all(self, counters: Sequence[int]) -> list[bool]:
        """One verdict for each, as if asked one after the other."""
        if self._accept_run(counters):
            return [True] * len(counters)
        return [self.accept(counter) for counter in counters]

    def refused(self, counters: Sequence[int], failed: Sequence[int] = ()) -> Sequence[int]:
        """The places of those not accepted, among them the failed ones, which are not asked about."""
        if len(counters) == 1:
            return () if not failed and self.accept(counters[0]) else (0,)
        if not failed and self._accept_run(counters):
            return ()
        skipped = set(failed)
        return [i for i, n in enumerate(counters) if i in skipped or not self.accept(n)]

    def _accept_run(self, counters: Sequence[int]) -> bool:
        count = len(counters)
        if count < 2 or counters[0] <= self.highest or counters[-1] >= REJECT_AFTER_MESSAGES:
            return False
        run = range(counters[0], counters[0] + count)
        if counters != run if isinstance(counters, range) else list(counters) != list(run):
            return False
        self._advance(counters[-1] - self.highest, count)
        return True

    def _advance(self, ahead: int, count: int) -> None:
        """Move the window up by `ahead`; the newest `count` counters are seen."""
        shift = min(ahead, REPLAY_WINDOW + 1)
        self._bitmap = (self._bitmap << shift | (1 << count) - 1) & _MASK
        self.highest += ahead
