"""Moments: what is new in a scene since the last look, as plain values for JSON.

    {"at": 512.34,
     "flows": [["home-a", "up", "direct", "double"], ...],   what moves: wire, way, lane, style
     "across": [["home-a", "home-b", "direct", "double"]],   the same through the internet, wire to wire
     "broken": {"unplugged": [], "cuts": [], "daemons": {}},
     "counts": [answered, lost],
     "drawing": {...},                                       see lab.view.web.sketch
     "seen": [["home-a", "up", "direct", "double"], ...],    packets since the last moment
     "moves": [{"from", "to", "at", "kind", "via", "rtt_ms", "why"}],
     "story": [{"at", "host", "text", "tone"}],
     "beats": [[seq, sent, rtt_ms or null]]}

The first five hold until they are told again and are left out as long as they are the same; the last four
are additions. Times are seconds, CLOCK_MONOTONIC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, TypeAlias

from lab.model.beat import Beat
from lab.model.network import INTERNET
from lab.view.scene import Flow, Path, Scene

Moment: TypeAlias = dict[str, Any]

LASTING = ("flows", "across", "broken", "counts", "drawing")
ADDED = ("seen", "moves", "story", "beats")


class Looker:
    """Looks at one scene, again and again."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._last: Moment = {}
        self._at = float("-inf")
        self._paths: dict[tuple[str, str], Path] = {}  # as they were at the last look
        self._moved: dict[tuple[str, str], int] = {}  # how many moves of a pair are told
        self._told = 0  # sentences
        self._beats: list[Beat] = []
        self.drawing: Any = None

    def take_beat(self, beat: Beat) -> None:
        """Apart from the scene, which could only tell when one ended, not when it was heard of."""
        self._beats.append(beat)

    def look(self, now: float) -> Moment | None:
        """None: nothing is new."""
        flows = self._scene.flows(now)
        lasting = {
            "flows": sorted({_row(flow) for flow in flows}),
            "across": sorted(set(_across(flows, self._on_internet()))),
            "broken": self._broken(now),
            "counts": [self._scene.answered(now), self._scene.lost(now)],
            "drawing": self.drawing,
        }
        changed = {key: value for key, value in lasting.items() if value != self._last.get(key)}
        added = {key: rows for key, rows in self._added(flows, now) if rows}
        self._last, self._at = lasting, now
        return {"at": round(now, 4), **changed, **added} if changed or added else None

    def _on_internet(self) -> set[str]:
        return {wire.name for wire in self._scene.plan.wires if wire.b[0] == INTERNET}

    def _broken(self, now: float) -> dict[str, Any]:
        return {
            "unplugged": sorted(self._scene.unplugged(now)),
            "cuts": sorted(sorted(pair) for pair in self._scene.cuts(now)),
            "daemons": dict(sorted(self._scene.daemons(now).items())),
        }

    def _added(self, flows: list[Flow], now: float) -> Iterator[tuple[str, list[Any]]]:
        yield "seen", sorted({_row(flow) for flow in flows if flow.last > self._at})
        yield "moves", list(self._moves(now))
        yield "story", self._sentences()
        yield "beats", [[beat.seq, beat.sent, beat.rtt_ms] for beat in self._beats]
        self._beats = []

    def _moves(self, now: float) -> Iterator[dict[str, Any]]:
        before, self._paths = self._paths, self._scene.paths(now)
        for (a, b), path in self._paths.items():
            if path is before.get((a, b)):  # a history grows; a look is not to take longer with it
                continue
            history = self._scene.history(a, b, now)
            for move in history[self._moved.get((a, b), 0) :]:
                told = asdict(move)
                yield {"from": a, "to": b, "at": told.pop("since"), **told}
            self._moved[a, b] = len(history)

    def _sentences(self) -> list[dict[str, Any]]:
        fresh = sorted(self._scene.told[self._told :], key=lambda sentence: sentence.at)
        self._told += len(fresh)
        return [asdict(sentence) for sentence in fresh]


def _row(flow: Flow) -> tuple[str, str, str, str]:
    return flow.wire, flow.way, flow.lane, flow.style


def _across(flows: list[Flow], on_internet: set[str]) -> Iterator[tuple[str, str, str, str]]:
    """What enters the internet by one wire and leaves it by another: the same outer endpoints, there."""
    down = [flow for flow in flows if flow.way == "down" and flow.wire in on_internet]
    for flow in flows:
        if flow.way == "up" and flow.wire in on_internet:
            for other in down:
                if (other.lane, other.style) == (flow.lane, flow.style) and not set(
                    flow.ends
                ).isdisjoint(other.ends):
                    yield flow.wire, other.wire, flow.lane, flow.style
