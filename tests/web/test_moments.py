"""What a page is told: what is new in a scene, once, and all of it for those who come late."""

from __future__ import annotations

import json
from typing import Any

from lab.model.beat import Beat
from lab.model.events import PathMoved
from lab.model.layout import plan_of
from lab.model.sighting import Sighting, Way
from lab.model.topology import load
from lab.view.scene import Scene
from lab.view.web.history import KEPT, History
from lab.view.web.moments import Looker

A, B = "203.0.113.10:41641", "203.0.113.20:41641"  # how nyc sees node-a and node-b


def test_what_is_new_is_told_once() -> None:
    scene, looker = begun()
    scene.take(moved(1.0, "relay", "nyc"))
    told = looker.look(1.0)
    assert told is not None
    assert [move["kind"] for move in told["moves"]] == ["relay"]
    assert [sentence["text"] for sentence in told["story"]] == [
        "packets from node-a to node-b go through nyc"
    ]
    assert looker.look(1.1) is None


def test_a_path_that_moved_twice_between_two_looks_is_told_twice() -> None:
    scene, looker = begun()
    scene.take(moved(1.0, "relay", "nyc"))
    scene.take(moved(1.01, "direct", B))
    told = looker.look(1.1)
    assert told is not None
    assert [(move["at"], move["kind"]) for move in told["moves"]] == [
        (1.0, "relay"),
        (1.01, "direct"),
    ]


def test_what_is_heard_of_late_is_told_all_the_same() -> None:
    scene, looker = begun()
    scene.take(moved(2.0, "relay", "nyc"))
    looker.look(2.0)
    scene.take(PathMoved(at=1.5, host="node-b", peer="node-a", kind="relay", via="nyc"))
    told = looker.look(2.1)
    assert told is not None
    assert [(move["from"], move["at"]) for move in told["moves"]] == [("node-b", 1.5)]
    assert [sentence["at"] for sentence in told["story"]] == [1.5]


def test_packets_are_seen_on_their_wires_and_from_wire_to_wire_through_the_internet() -> None:
    scene, looker = begun()
    for wire in ("node-a", "home-a"):
        scene.take(data(1.0, wire, "up"))
    for wire in ("home-b", "node-b"):
        scene.take(data(1.0, wire, "down"))
    told = looker.look(1.02)
    assert told is not None
    double = [
        ("home-a", "up", "direct", "double"),
        ("home-b", "down", "direct", "double"),
        ("node-a", "up", "direct", "double"),
        ("node-b", "down", "direct", "double"),
    ]
    assert told["flows"] == told["seen"] == double
    assert told["across"] == [("home-a", "home-b", "direct", "double")]


def test_what_enters_the_internet_and_never_leaves_it_crosses_nothing() -> None:
    scene, looker = begun()
    scene.take(data(1.0, "home-a", "up"))
    told = looker.look(1.02)
    assert told is not None
    assert told["flows"] == [("home-a", "up", "direct", "double")]
    assert "across" not in told


def test_lines_stay_a_while_when_no_more_is_seen_and_then_go() -> None:
    scene, looker = begun()
    scene.take(data(1.0, "home-a", "up"))
    assert looker.look(1.02) is not None
    assert looker.look(1.3) is None
    assert looker.look(2.0) == {"at": 2.0, "flows": []}


def test_a_beat_that_comes_late_is_told_though_its_time_is_past() -> None:
    scene, looker = begun()
    looker.look(5.0)
    for beat in (Beat(1, 1.0, 3.0), Beat(1, 1.0, 4.9, 3900.0)):
        scene.take(beat)
        looker.take_beat(beat)
    told = looker.look(5.1)
    assert told is not None
    assert told["beats"] == [[1, 1.0, None], [1, 1.0, 3900.0]]
    assert told["counts"] == [1, 0]


def test_who_comes_late_is_told_all_that_is_known() -> None:
    history = History()
    history.add({"at": 1.0, "flows": [1], "story": ["a"], "seen": ["x"]})
    history.add({"at": 2.0, "flows": [2], "moves": ["b"]})
    history.add({"at": 2.0 + KEPT, "story": ["c"]})
    history.add({"at": 2.5 + KEPT, "counts": [1, 0]})
    sum_, *moments = json.loads(history.told())
    assert sum_ == {"at": 2.0, "flows": [2], "moves": ["b"], "story": ["a"], "beats": []}
    assert moments == [{"at": 2.0 + KEPT, "story": ["c"]}, {"at": 2.5 + KEPT, "counts": [1, 0]}]


def begun() -> tuple[Scene, Looker]:
    """A scene of nat-pair, with nothing new in it."""
    scene = Scene(plan_of(load("nat-pair")))
    looker = Looker(scene)
    looker.look(0.0)
    return scene, looker


def moved(at: float, kind: Any, via: str) -> PathMoved:
    return PathMoved(at=at, host="node-a", peer="node-b", kind=kind, via=via)


def data(at: float, wire: str, way: Way) -> Sighting:
    return Sighting(at, wire, way, "data", A, B, packets=1, bytes=128)
