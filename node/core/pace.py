"""How often something may happen: a burst at once, then a steady rate.

It keeps one time instead of a count (the "virtual scheduling" of ITU-T I.371), so the moment at
which the next is allowed is exact, and can stand in a deadline.
"""

from __future__ import annotations

import math


class Pace:
    def __init__(self, *, rate: float, burst: int) -> None:
        self._interval = 1 / rate
        self._slack = (burst - 1) / rate
        self._next = -math.inf  # when the next would be on time if all came at the steady rate

    @property
    def free_at(self) -> float:
        return self._next - self._slack

    def take(self, now: float) -> bool:
        """Whether one is allowed now; if so, it is counted."""
        if now < self.free_at:
            return False
        self._next = max(self._next, now) + self._interval
        return True
