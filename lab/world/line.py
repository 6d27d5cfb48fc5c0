"""A line of packets that wait: who may go when, who goes ahead, who is lost. No sockets and no clock.

Packets are numbers that ascend. Without reordering nobody overtakes, so the time to go never falls along the
line: a packet whose own time would be earlier goes with the one before it, and many are freed in one step.
A packet that is reordered does not wait at all, which is what netem means by the word. A line that is
given a clean shape lets everybody go.

Losses in bursts follow Gilbert's model: a link that is now good, now bad, and loses all while it is bad. With
a share `loss` in bursts of `burst` packets on average, a bad spell ends at a packet with the chance
1 / burst, and one begins with the chance loss / (1 - loss) / burst.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from lab.model.link import CLEAN, Shape


@dataclass(frozen=True, slots=True)
class Early:
    packet: int


@dataclass(frozen=True, slots=True)
class Lost:
    packet: int


class Line:
    def __init__(self, shape: Shape, random: Callable[[], float]) -> None:
        self._random = random
        self._waiting: deque[tuple[float, int]] = deque()  # time to go, last packet that may
        self._is_bad = False
        self.shape = shape

    @property
    def shape(self) -> Shape:
        return self._shape

    @shape.setter
    def shape(self, shape: Shape) -> None:
        self._shape = shape
        self._all_alike = not (shape.jitter or shape.reorder or shape.loss)
        if shape == CLEAN:
            self._waiting = deque((0.0, packet) for _, packet in self._waiting)

    @property
    def deadline(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None

    def admit(self, first: int, last: int, now: float) -> list[Early | Lost]:
        """These came; returned are those that do not wait."""
        if self._all_alike:
            self._wait(now + self._shape.delay, last)
            return []
        fates = (self._fate(packet, now) for packet in range(first, last + 1))
        return [fate for fate in fates if fate is not None]

    def release(self, now: float) -> int | None:
        """The last packet whose time has come; all before it may go too."""
        last = None
        while self._waiting and self._waiting[0][0] <= now:
            last = self._waiting.popleft()[1]
        return last

    def _fate(self, packet: int, now: float) -> Early | Lost | None:
        shape = self._shape
        if shape.loss and self._loses():
            return Lost(packet)
        if shape.reorder and self._random() < shape.reorder:
            return Early(packet)
        varied = (2 * self._random() - 1) * shape.jitter if shape.jitter else 0.0
        self._wait(now + shape.delay + varied, packet)
        return None

    def _loses(self) -> bool:
        loss, burst = self._shape.loss, self._shape.burst
        if loss >= 1:
            return True
        chance = 1 - 1 / burst if self._is_bad else loss / (1 - loss) / burst
        self._is_bad = self._random() < chance
        return self._is_bad

    def _wait(self, until: float, packet: int) -> None:
        if self._waiting and until < self._waiting[-1][0]:
            until = self._waiting[-1][0]
        self._waiting.append((until, packet))
