"""What holds packets where they leave an interface: a rate (tbf) and, where the kernel has it, netem.

netem delays; tbf is a leaky bucket in front of the wire. Where both are wanted tbf hangs below netem. By
itself netem puts packets with different delays into another order; told of a rate, even one that never
limits, it keeps theirs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab.model.link import Shape
from lab.world.attributes import attribute, nested, text
from lab.world.netlink import Request

_NEW_QDISC, _DELETE_QDISC = 36, 37
_CREATE_OR_REPLACE = 0x400 | 0x100
_ROOT = 0xFFFFFFFF
_FIRST, _FIRST_CHILD, _SECOND = 0x10000, 0x10001, 0x20000
_KIND, _OPTIONS = 1, 2
_ETHERNET = 1  # the link layer: the kernel does the arithmetic without a table of ours

_QUEUE_TIME = 0.05  # seconds that a rate may hold a packet before it is lost
_BURST_TIME = 0.004  # seconds of the rate that may pass at once: one tick of a slow kernel
_LEAST_BURST = 15_000  # bytes: ten full packets
_TBF_PARAMETERS, _TBF_BURST = 1, 6
_NETEM_REORDER, _NETEM_RATE = 3, 6
_MOST_HELD = 100_000  # packets
_NEVER_LIMITS = 4_000_000_000  # bytes a second
_ALWAYS = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Egress:
    """What one interface's root holds: a part of a direction's shape."""

    rate: int | None = None
    delay: float = 0.0
    jitter: float = 0.0
    reorder: float = 0.0


NOTHING = Egress()


def egress(shape: Shape, netem: bool) -> Egress:
    if not netem:
        return Egress(shape.rate)
    return Egress(shape.rate, shape.delay, shape.jitter, shape.reorder)


def change(machine: str, name: str, index: int, before: Egress, after: Egress) -> Iterator[Request]:
    """From one to the other. What only gets new numbers keeps the packets that it holds."""
    what = f"{machine}: %s of {name}"
    if before != NOTHING and (bool(before.delay), bool(before.rate)) != (
        bool(after.delay),
        bool(after.rate),
    ):
        yield Request(_body(index, 0, _ROOT), _DELETE_QDISC, 0, what % "an end to the limits")
    if after.delay:
        body = _body(index, _FIRST, _ROOT, "netem", _netem(after))
        yield Request(body, _NEW_QDISC, _CREATE_OR_REPLACE, what % "the delay")
    if after.rate is not None:
        place = (_SECOND, _FIRST_CHILD) if after.delay else (_FIRST, _ROOT)
        body = _body(index, *place, "tbf", _tbf(after.rate))
        yield Request(body, _NEW_QDISC, _CREATE_OR_REPLACE, what % "the rate")


def _body(index: int, handle: int, parent: int, kind: str = "", options: bytes = b"") -> bytes:
    head = struct.pack("=BxxxiIII", 0, index, handle, parent, 0)
    if not kind:
        return head
    return head + text(_KIND, kind) + options


def _tbf(rate: int) -> bytes:
    size = rate // 8
    burst = max(_LEAST_BURST, round(size * _BURST_TIME))
    limit = min(round(size * _QUEUE_TIME) + burst, 0xFFFFFFFF)
    ticks = round(burst / size * 1e6 * _ticks_per_us())
    speed = struct.pack("=BBHhHI", 0, _ETHERNET, 0, -1, 0, size)
    parameters = speed + bytes(12) + struct.pack("=III", limit, ticks, 0)
    return nested(
        _OPTIONS,
        attribute(_TBF_PARAMETERS, parameters),
        attribute(_TBF_BURST, struct.pack("=I", burst)),
    )


def _netem(wanted: Egress) -> bytes:
    delay, jitter = (round(each * 1e6 * _ticks_per_us()) for each in (wanted.delay, wanted.jitter))
    gap = 1 if wanted.reorder else 0
    parts = [struct.pack("=6I", delay, _MOST_HELD, 0, gap, 0, jitter)]
    if wanted.reorder:
        chance = struct.pack("=II", round(wanted.reorder * _ALWAYS), 0)
        parts.append(attribute(_NETEM_REORDER, chance))
    if wanted.jitter:
        parts.append(attribute(_NETEM_RATE, struct.pack("=IiIi", _NEVER_LIMITS, 0, 0, 0)))
    return attribute(_OPTIONS, b"".join(parts))


@cache
def _ticks_per_us() -> float:
    """The scheduler's own unit of time, as it says itself."""
    to_us, from_us, resolution, _ = (
        int(each, 16) for each in Path("/proc/net/psched").read_text().split()
    )
    return to_us / from_us * (resolution / 1e6)
