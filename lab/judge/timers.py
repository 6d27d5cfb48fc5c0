"""How long a mapping lives: unanswered, idle, kept alive from outside only, and in full use.

All are watched at once, each with sockets of its own, so the answer takes as long as the
longest of them is watched and no longer. A busy machine makes the moments late, not wrong: each is
counted from the mapping's own last packet, and what is not known exactly is taken at its worse end.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

from lab.judge.experiments import TRIES, Bench, Unreachable
from lab.judge.measured import Span
from lab.judge.stage import Endpoint, Socket

STEP = 0.5  # seconds between two looks
STREAM_AFTER = (
    2.0  # seconds of use: then Linux gives a flow its longer life (nf_conntrack_proto_udp)
)


@dataclass(frozen=True, slots=True)
class Timers:
    timeout: Span
    unanswered: Span
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
    _converse(bench, idle, outside)
    unanswered = [_begin(bench, outside, answered=False) for _ in looks]
    poked, used = _begin(bench, outside), _begin(bench, outside, by_birth=True)
    start = time.monotonic()
    for moment, *lives in zip(looks, unanswered, idle, strict=True):
        bench.stage.pause(start + moment - time.monotonic())
        for each in (*lives, poked):
            _look(bench, each, outside)
        _use(bench, used, outside)
    short, long = _span(unanswered), _span(idle)
    # What dies of age was older after the conversation, and so had less of its life before it.
    timeout = max(short, long, key=lambda span: span.more_than)
    return Timers(timeout, short, _refresh(short, poked, used), Span(used.alive, used.dead))


def _span(lives: list[_Life]) -> Span:
    return Span(
        max((life.alive for life in lives), default=0.0),
        min((life.dead for life in lives if life.dead is not None), default=None),
    )


def _refresh(timeout: Span, poked: _Life, used: _Life) -> str | None:
    """Whether packets from outside alone carried it beyond where an idle one dies."""
    if timeout.less_than is None:
        return None
    if poked.alive > timeout.less_than + STEP:
        return "both"
    if poked.dead is None or (used.dead is not None and poked.dead > used.alive):
        return None  # it died as old as one that was used both ways
    return "outbound"


def _begin(bench: Bench, outside: Socket, by_birth: bool = False, answered: bool = True) -> _Life:
    """A mapping that has carried a packet each way; its time is from the last, or from the first."""
    inside = bench.socket()
    begun = _exchange(bench, inside, outside) if answered else _sent(bench, inside, outside)
    since = (begun.before, begun.between) if by_birth else (begun.between, time.monotonic())
    return _Life(inside, begun.mapped, since)


class _Begun(NamedTuple):
    """A packet out, in between of these times, and where it seemed to come from."""

    before: float
    between: float
    mapped: Endpoint


def _sent(bench: Bench, inside: Socket, outside: Socket) -> _Begun:
    before = time.monotonic()
    mapped = bench.must_reach(inside, outside)
    return _Begun(before, time.monotonic(), mapped)


def _exchange(bench: Bench, inside: Socket, outside: Socket) -> _Begun:
    """And one back. Where we stood still in between, the mapping may have died: then once more."""
    for left in reversed(range(TRIES)):
        begun = _sent(bench, inside, outside)
        try:
            bench.comes_in(inside, [(outside, begun.mapped)])
        except Unreachable:
            if not left:
                raise
        else:
            break
    return begun


def _converse(bench: Bench, lives: list[_Life], outside: Socket) -> None:
    """Both ways, for so long that Linux takes each for a stream; then their time begins."""
    until = time.monotonic() + STREAM_AFTER
    last = False
    while not last:
        bench.stage.pause(STEP)
        last = time.monotonic() > until
        for life in lives:
            begun = _exchange(bench, life.inside, outside)
            life.mapped, life.since = begun.mapped, (begun.between, time.monotonic())


def _look(bench: Bench, life: _Life, outside: Socket) -> None:
    """Sends to it, and behind that to a mapping of this moment in the same machine."""
    if life.dead is not None:
        return
    fresh, text = bench.socket(), bench.stage.tag()
    before = time.monotonic()
    outside.send(life.mapped, text)
    _exchange(bench, fresh, outside)
    bench.stage.settle()  # the same machine has heard what was sent later: now it has told all of it
    if life.inside.heard(text):
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
