"""From the wall clock, by which the kernel stamps packets, to CLOCK_MONOTONIC, on which a lab's events are.

NTP slews both alike, so what lies between them changes only when somebody sets the clock. One measurement
serves until then: a new one each time would differ by its own error, and a packet could come before itself.
"""

from __future__ import annotations

import time

TRIES = 20
STEP = 1_000_000  # nanoseconds; less is the measurement's error


class WallClock:
    def __init__(self) -> None:
        self.ahead = _measured()  # nanoseconds

    def look(self) -> int:
        """How far it is ahead, for packets of just now."""
        if abs(time.time_ns() - time.monotonic_ns() - self.ahead) > STEP:
            self.ahead = _measured()
        return self.ahead


def _measured() -> int:
    """The reading between the two closest looks at the other clock."""
    best = (1 << 62, 0)
    for _ in range(TRIES):
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        best = min(best, (after - before, wall - (before + after) // 2))
    return best[1]
