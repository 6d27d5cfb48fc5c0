"""How long a mapping lives: idle, kept alive from outside only, and in full use.

All three are watched at once, each with sockets of its own, so the answer takes as long as the
longest of them is watched and no longer. A busy machine makes the moments late, not wrong: each is
counted from the mapping's own last packet, and what is not known exactly is taken at its worse end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from lab.judge.experiments import Bench
from lab.judge.measured import Span
from lab.judge.stage import Endpoint, Socket

STEP = 0.5  # seconds between two looks
GRACE = 0.02  # seconds; another socket of the same machine has heard what was sent later


@dataclass(frozen=True, slots=True)
class Timers:
    timeout: Span
    refresh: str | None
    lifetime: Span


@dataclass(slots=True)
class _Life:
    """One socket and its mapping: how long it surely was alive, and when it surely was dead."""

    inside: Socket
    mapped: Endpoint
    since: tuple[float, float]  # the packet that its time is counted from was in between
    alive: float = 0.0
    dead: float | None = None


def measure_timers(bench: Bench, seconds: float) -> Timers:
    """An idle mapping is looked at only once, for the look is traffic: so one socket for each look."""
    outside = bench.outside[0][0]
    looks = [STEP * (n + 1) + STEP / 2 for n in range(int(seconds / STEP))]
    idle = [_begin(bench, outside) for _ in looks]
    poked, used = _begin(bench, outside), _begin(bench, outside, by_birth=True)
    start = time.monotonic()
    for moment, life in zip(looks, idle, strict=True):
        bench.stage.pause(start + moment - time.monotonic())
        for each in (life, poked):
            _look(bench, each, outside)
        _use(bench, used, outside)
    timeout = Span(
        max((life.alive for life in idle), default=0.0),
        min((life.dead for life in idle if life.dead is not None), default=None),
    )
    return Timers(timeout, _refresh(timeout, poked), Span(used.alive, used.dead))


def _refresh(timeout: Span, poked: _Life) -> str | None:
    """Whether packets from outside alone carried it beyond where an idle one dies."""
    if timeout.less_than is None:
        return None
    if poked.alive > timeout.less_than + STEP:
        return "both"
    return "outbound" if poked.dead is not None else None


def _begin(bench: Bench, outside: Socket, by_birth: bool = False) -> _Life:
    """A mapping that has carried a packet each way; its time is from the last, or from the first."""
    inside = bench.socket()
    before = time.monotonic()
    mapped = bench.must_reach(inside, outside)
    between = time.monotonic()
    bench.comes_in(inside, [(outside, mapped)])
    since = (before, between) if by_birth else (between, time.monotonic())
    return _Life(inside, mapped, since)


def _look(bench: Bench, life: _Life, outside: Socket) -> None:
    """Sends to it, and behind that to a mapping of this moment in the same machine."""
    if life.dead is not None:
        return
    fresh, text = bench.socket(), bench.stage.tag()
    mapped = bench.must_reach(fresh, outside)
    before = time.monotonic()
    outside.send(life.mapped, text)
    bench.comes_in(fresh, [(outside, mapped)])
    if life.inside.hear(text, GRACE) is not None:
        life.alive = before - life.since[1]
    else:
        life.dead = time.monotonic() - life.since[0]
    fresh.close()


def _use(bench: Bench, life: _Life, outside: Socket) -> None:
    """Traffic both ways; a mapping that moved has died."""
    if life.dead is not None:
        return
    if bench.must_reach(life.inside, outside) == life.mapped:
        _look(bench, life, outside)
    else:
        life.dead = time.monotonic() - life.since[0]
