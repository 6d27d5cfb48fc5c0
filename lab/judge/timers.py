"""How long a mapping lives: idle, kept alive from outside only, and in full use.

All three are watched at once, each with sockets of its own, so the answer takes as long as the
longest of them is watched and no longer.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from lab.judge.experiments import Bench
from lab.judge.measured import Span
from lab.judge.stage import Endpoint, Socket

STEP = 0.5  # seconds between two looks


@dataclass(frozen=True, slots=True)
class Timers:
    timeout: Span
    refresh: str | None
    lifetime: Span


@dataclass(slots=True)
class _Life:
    """One socket and its mapping: when it was last seen alive, and first dead."""

    inside: Socket
    mapped: Endpoint
    alive: float = 0.0
    dead: float | None = None


def measure_timers(bench: Bench, seconds: float) -> Timers:
    """An idle mapping is looked at only once, for the look is traffic: so one socket for each look."""
    outside = bench.outside[0][0]
    looks = [STEP * (n + 1) + STEP / 2 for n in range(int(seconds / STEP))]
    idle = [_begin(bench, outside) for _ in looks]
    poked, used = _begin(bench, outside), _begin(bench, outside)
    start = time.monotonic()
    for moment, life in zip(looks, idle, strict=True):
        bench.stage.pause(start + moment - time.monotonic())
        _look(bench, life, outside, moment)
        _look(bench, poked, outside, moment)
        _use(bench, used, outside, moment)
    timeout = _idle_span(idle)
    refresh = None
    if timeout.less_than is not None and seconds > timeout.less_than + STEP:
        refresh = (
            "both" if poked.dead is None or poked.dead > timeout.less_than + STEP else "outbound"
        )
    return Timers(timeout, refresh, Span(used.alive, used.dead))


def _begin(bench: Bench, outside: Socket) -> _Life:
    """A mapping that has carried a packet each way."""
    inside = bench.socket()
    mapped = bench.must_reach(inside, outside)
    bench.comes_in(inside, [(outside, mapped)])
    return _Life(inside, mapped)


def _look(bench: Bench, life: _Life, outside: Socket, moment: float) -> None:
    if life.dead is not None:
        return
    text = bench.stage.tag()
    outside.send(life.mapped, text)
    if life.inside.hear(text, STEP / 5) is not None:
        life.alive = moment
    else:
        life.dead = moment


def _use(bench: Bench, life: _Life, outside: Socket, moment: float) -> None:
    """Traffic both ways; a mapping that moved has died."""
    if life.dead is None and bench.reach(life.inside, outside) != life.mapped:
        life.dead = moment
        return
    _look(bench, life, outside, moment)


def _idle_span(idle: list[_Life]) -> Span:
    dead = [life.dead for life in idle if life.dead is not None]
    alive = [life.alive for life in idle if life.alive]
    return Span(max(alive, default=0.0), min(dead, default=None))
