"""Hole punching with nothing but sockets: what a verdict says, really tried, for many pairs at once.

Each end learns its endpoint from a STUN-like look from outside, both ping the other's endpoint and its
own address at the same time, and answer a ping to where it came from. No relay, no daemon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lab.judge.experiments import Inside
from lab.judge.stage import Endpoint, Socket, Stage

ROUNDS = 4  # the first ping of one side may be what opens the way for the other's second
PAUSE = 0.5  # seconds that nothing comes, once all is sent and read: more than a busy machine stands still
LOOKS = 4


@dataclass(slots=True)
class _Pinger:
    socket: Socket
    peer: _Pinger | None = None
    outside: Endpoint | None = None
    answered: int = 0  # of the socket's arrivals
    candidates: list[Endpoint] = field(default_factory=list)
    direct: bool = False


def punch(stage: Stage, server: Socket, pairs: Sequence[tuple[Inside, Inside]]) -> list[bool]:
    """For each pair whether a ping was answered."""
    spots = [(end.machine, end.address, 0) for pair in pairs for end in pair]
    ends = [_Pinger(socket) for socket in stage.open_all(spots)]
    for one, other in zip(ends[::2], ends[1::2], strict=True):
        one.peer, other.peer = other, one
    _learn(stage, server, ends)
    for _ in range(ROUNDS):
        _ping(ends)
        stage.settle()
        _answer(stage, ends)
    return [one.direct or other.direct for one, other in zip(ends[::2], ends[1::2], strict=True)]


def _learn(stage: Stage, server: Socket, ends: Sequence[_Pinger]) -> None:
    """Each end's endpoint, as the server sees it."""
    before = len(server.arrivals)
    for _ in range(LOOKS):
        waiting = [end for end in ends if end.outside is None]
        for end in waiting:
            end.socket.send(server.here, f"look {end.socket.name}")
        stage.settle()
        stage.wait(lambda: len(server.arrivals) >= before + len(ends), PAUSE)
        seen = {each.text: each.source for each in server.arrivals}
        for end in waiting:
            end.outside = seen.get(f"look {end.socket.name}")
    for end in ends:
        end.candidates = [end.socket.here, *([end.outside] if end.outside else [])]


def _ping(ends: Sequence[_Pinger]) -> None:
    for end in ends:
        assert end.peer is not None
        for candidate in dict.fromkeys(end.peer.candidates):
            end.socket.send(candidate, f"ping {end.socket.name}")


def _answer(stage: Stage, ends: Sequence[_Pinger]) -> None:
    """Until it is quiet: pings become pongs, and pongs prove the path."""
    while stage.hears_more(PAUSE):
        stage.settle()
        for end in ends:
            fresh = end.socket.arrivals[end.answered :]
            end.answered += len(fresh)
            for arrival in fresh:
                _hear(end, arrival.source, arrival.text)


def _hear(end: _Pinger, source: Endpoint, text: str) -> None:
    assert end.peer is not None
    if text == f"ping {end.peer.socket.name}":
        end.socket.send(source, f"pong {end.socket.name}")
    elif text == f"pong {end.peer.socket.name}":
        end.direct = True
