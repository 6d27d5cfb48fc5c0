"""How a pair came from the relay to a direct path: step by step, from the packets and the event log.

What is in the relay's TLS is not looked into: that a CallMeMaybe was sent and came is what the daemons told,
all else was seen on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from lab.capture import pcapng
from lab.capture.reading import Packet
from lab.judge.packets import classify
from lab.judge.recording import Recording
from lab.judge.transits import Transit
from lab.model.events import CallMeMaybe, Handshake, PathMoved

TOGETHER = 5.0  # seconds in which the two ends' moves are one upgrade
AFTERWARDS = 5.0  # seconds after the move in which packets that were sent before may arrive

Way = Literal["relay", "try", "direct", "note"]


@dataclass(frozen=True, slots=True)
class Step:
    at: float
    source: str
    target: str
    what: str
    way: Way


@dataclass(frozen=True, slots=True)
class Upgrade:
    a: str
    b: str
    relay: str
    begins: float  # seconds, as `at`
    ends: float
    steps: tuple[Step, ...]


def upgrades(recording: Recording, packets: Sequence[Transit]) -> tuple[Upgrade, ...]:
    return tuple(
        _upgrade(recording, packets, moves) for moves in _grouped(list(_to_direct(recording)))
    )


def _to_direct(recording: Recording) -> Iterator[PathMoved]:
    now: dict[tuple[str, str], str] = {}
    for event in recording.events:
        if isinstance(event, PathMoved):
            if event.kind == "direct" and now.get((event.host, event.peer)) != "direct":
                yield event
            now[event.host, event.peer] = event.kind


def _grouped(moves: Sequence[PathMoved]) -> list[list[PathMoved]]:
    groups: list[list[PathMoved]] = []
    for move in moves:
        for group in groups:
            same = {group[0].host, group[0].peer} == {move.host, move.peer}
            is_new = move.host not in [each.host for each in group]
            if same and is_new and move.at - group[0].at <= TOGETHER:
                group.append(move)
                break
        else:
            groups.append([move])
    return groups


def _upgrade(
    recording: Recording, packets: Sequence[Transit], moves: Sequence[PathMoved]
) -> Upgrade:
    first, pair = moves[0], {moves[0].host, moves[0].peer}
    until = moves[-1].at + AFTERWARDS
    between = [each for each in packets if {each.source, each.target} == pair]
    began = [
        event
        for event in recording.events
        if isinstance(event, PathMoved)
        and {event.host, event.peer} == pair
        and event.kind == "relay"
        and event.at <= first.at
    ]
    relay = str(began[-1].via) if began else "the relay"
    since = max(recording.begins, _since(between, began))
    steps = [
        *_relayed(between, since, until, relay),
        *_told(recording, pair, since, until, relay),
        *_tried(recording, pair, since, until),
        *_direct(between, since, until),
        *(Step(m.at, m.host, m.peer, f"moves to {m.via}", "note") for m in moves),
    ]
    steps.sort(key=lambda step: step.at)
    a, b = (between[0].source, between[0].target) if between else (first.host, first.peer)
    return Upgrade(a, b, relay, steps[0].at, steps[-1].at, tuple(steps))


def _since(packets: Sequence[Transit], began: Sequence[PathMoved]) -> float:
    """The first packet over the relay, which is a little older than the word of it."""
    if not began:
        return 0.0
    started = next((event.at for event in began if event.at >= began[-1].at - 1.0), 0.0)
    before = [each.sent for each in packets if started - 1.0 <= each.sent <= started]
    return min(before, default=started)


def _relayed(packets: Sequence[Transit], since: float, until: float, relay: str) -> Iterator[Step]:
    """The first and the last of each direction."""
    over = [each for each in packets if each.route == "relay" and since <= each.sent <= until]
    for source in dict.fromkeys(each.source for each in over):
        mine = [each for each in over if each.source == source]
        yield Step(
            mine[0].sent, source, mine[0].target, f"first packet, over DERP({relay})", "relay"
        )
        last = max(mine, key=lambda each: each.received[0])
        what = f"last relayed packet arrives (of {len(mine)})"
        yield Step(last.received[0], source, last.target, what, "relay")


def _direct(packets: Sequence[Transit], since: float, until: float) -> Iterator[Step]:
    over = [each for each in packets if each.route == "direct" and since <= each.sent <= until]
    for source in dict.fromkeys(each.source for each in over):
        first = next(each for each in over if each.source == source)
        yield Step(first.sent, source, first.target, "first direct packet", "direct")


def _told(
    recording: Recording, pair: set[str], since: float, until: float, relay: str
) -> Iterator[Step]:
    seen: set[tuple[str, str]] = set()
    for event in recording.events:
        if not since <= event.at <= until or event.host not in pair:
            continue
        if isinstance(event, CallMeMaybe) and event.direction == "received" and event.peer in pair:
            kind = "CallMeMaybe"
            step = Step(event.at, event.peer, event.host, f"{kind}, over DERP({relay})", "relay")
        elif isinstance(event, Handshake) and event.peer in pair:
            kind = "handshake"
            step = Step(event.at, event.host, event.peer, "WireGuard handshake done", "note")
        else:
            continue
        if (event.host, kind) not in seen:
            seen.add((event.host, kind))
            yield step


def _tried(recording: Recording, pair: set[str], since: float, until: float) -> Iterator[Step]:
    """The first ping that leaves each host, and the first pong that reaches it."""
    wanted = {
        (host, kind): direction
        for host in pair
        for kind, direction in (("disco-ping", pcapng.OUTBOUND), ("disco-pong", pcapng.INBOUND))
    }
    for packet in _within(recording, since, until):
        host = packet.interface.machine
        if host not in pair or (found := classify(packet.ip, len(packet.ip))) is None:
            continue
        if wanted.get((host, found.kind)) != packet.direction:
            continue
        del wanted[host, found.kind]
        [other] = pair - {host}
        if found.kind == "disco-ping":
            yield Step(packet.at, host, other, f"first ping, to {found.target}", "try")
        else:
            yield Step(packet.at, other, host, f"first pong, from {found.source}", "try")


def _within(recording: Recording, since: float, until: float) -> Iterator[Packet]:
    return (packet for packet in recording.on_links if since <= packet.at <= until)
