"""A link's quality: what a packet suffers on the way, each direction on its own.

*up* is the direction away from the machine that the link is named after, towards the internet;
*down* is the other one. A delay is one way: 20 ms on both directions adds 40 ms to a round trip.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Icmp = Literal["pass", "drop"]


@dataclass(frozen=True, slots=True)
class Shape:
    """One direction. Times in seconds, chances from 0 to 1, rate in bits a second."""

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    burst: float = 1.0  # how many packets are lost in a row, on average; 1 = independent losses
    rate: int | None = None
    reorder: float = 0.0
    duplicate: float = 0.0
    icmp: Icmp = "pass"  # drop: no error comes through, so who sends too large packets never learns


CLEAN = Shape()


@dataclass(frozen=True, slots=True)
class LinkQuality:
    up: Shape = CLEAN
    down: Shape = CLEAN
    mtu: int | None = None

    @property
    def is_clean(self) -> bool:
        return self.up == self.down == CLEAN


PERFECT = LinkQuality()
