"""What a capture of all hosts proves: what each change of path cost, how it came about, and what is sealed.

Pure: of the packets and the events in the file, and nothing that a daemon says of its packets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lab.judge.plaintext import Plaintext, search
from lab.judge.recording import Recording
from lab.judge.transits import Counts, Transit, counted, transits
from lab.judge.upgrades import Upgrade, upgrades
from lab.model.events import PathMoved
from lab.model.path import PathKind

AROUND = 1.0  # seconds before and after a change that count as its


@dataclass(frozen=True, slots=True)
class Flow:
    source: str
    target: str
    counts: Counts
    routes: dict[PathKind, int]  # packets by the way that they took


@dataclass(frozen=True, slots=True)
class Change:
    """A path that became another one, and what the packets around it, both ways, came to."""

    at: float
    host: str
    peer: str
    was: PathKind | None  # None: not known, it was so before the capture
    now: PathKind
    via: str | None
    why: str | None
    there: Counts
    back: Counts


@dataclass(frozen=True, slots=True)
class Evidence:
    seconds: float
    packets: int
    missed: int  # by the capture: with any, losses may be its own
    flows: tuple[Flow, ...]
    changes: tuple[Change, ...]
    upgrades: tuple[Upgrade, ...]
    plaintext: Plaintext

    def told(self) -> dict[str, Any]:
        return asdict(self) | {"is_sealed": self.plaintext.is_proof}


def evidence(recording: Recording, words: Sequence[bytes] = ()) -> Evidence:
    """`words`: bytes to search the links for, in place of what went through the tunnels."""
    through = transits(recording)
    return Evidence(
        recording.ends - recording.begins,
        recording.packets,
        recording.dropped,
        tuple(_flows(through)),
        tuple(_changes(recording, through)),
        upgrades(recording, through),
        search(recording, words),
    )


def _flows(through: Sequence[Transit]) -> Iterator[Flow]:
    for source, target in dict.fromkeys((each.source, each.target) for each in through):
        mine = _between(through, source, target)
        routes = [each.route for each in mine]
        by_route = {route: routes.count(route) for route in dict.fromkeys(routes)}
        yield Flow(source, target, counted(mine), by_route)


def _changes(recording: Recording, through: Sequence[Transit]) -> Iterator[Change]:
    now: dict[tuple[str, str], PathKind] = {}
    for event in recording.events:
        if not isinstance(event, PathMoved):
            continue
        host, peer = event.host, event.peer
        was = now.get((host, peer))
        now[host, peer] = event.kind
        if was != event.kind:
            around = [each for each in through if abs(each.sent - event.at) <= AROUND]
            yield Change(
                event.at,
                host,
                peer,
                was,
                event.kind,
                event.via,
                event.why,
                counted(_between(around, host, peer)),
                counted(_between(around, peer, host)),
            )


def _between(some: Sequence[Transit], source: str, target: str) -> list[Transit]:
    return [each for each in some if (each.source, each.target) == (source, target)]
