"""What is to be seen at a moment: paths, what moves on the wires, pings; also of moments that are past."""

from __future__ import annotations

from typing import Any

import pytest

from lab.model.beat import Beat
from lab.model.events import parse
from lab.model.layout import plan_of
from lab.model.sighting import Kind, Sighting, Way, parse_line, to_line
from lab.model.topology import load
from lab.view.route import below, between, relay_addresses
from lab.view.scene import HOLD, KEPT, NO_PATH, Path, Scene

PLAN = plan_of(load("double-nat"))
NYC, HOME_A, HOME_B = "198.51.100.10:443", "203.0.113.10:41641", "203.0.113.20:41641"
STUN = "198.51.100.10:3478"
A, B = "node-a", "node-b"

# --- paths


def test_a_path_is_as_it_was_told_last() -> None:
    scene = seen(path(1.0, "relay", "nyc"), path(1.5, "direct", HOME_B, rtt_ms=20.0))

    assert scene.path(A, B, now=0.9) == NO_PATH
    assert scene.path(A, B, now=1.2) == Path("relay", "nyc", since=1.0)
    assert scene.path(A, B, now=9.0) == Path("direct", HOME_B, since=1.5, rtt_ms=20.0)
    assert scene.path(B, A, now=9.0) == NO_PATH
    assert scene.paths(now=1.2) == {(A, B): Path("relay", "nyc", since=1.0)}


def test_a_path_told_again_has_been_there_since_it_was_told_first() -> None:
    scene = seen(path(1.0, "direct", HOME_B), path(5.0, "direct", HOME_B, rtt_ms=9.0))

    assert scene.path(A, B, now=6.0) == Path("direct", HOME_B, since=1.0, rtt_ms=9.0)
    assert [each.kind for each in scene.history(A, B, now=6.0)] == ["direct"]


# --- wires


@pytest.mark.parametrize(
    ("kind", "source", "target", "lane", "style"),
    [
        ("stun", HOME_A, STUN, "relay", "dashed"),
        ("disco-ping", HOME_A, HOME_B, "direct", "dashed"),
        ("handshake", HOME_A, HOME_B, "direct", "dashed"),
        ("refusal", "203.0.113.20", "203.0.113.10", "direct", "dashed"),
        ("data", HOME_A, HOME_B, "direct", "double"),
        ("udp", HOME_A, HOME_B, "other", "solid"),
    ],
)
def test_each_kind_has_its_lane_and_style(
    kind: Kind, source: str, target: str, lane: str, style: str
) -> None:
    scene = seen(sighting(1.0, "carrier-a", kind, source, target))

    [flow] = scene.flows(now=1.0)

    assert (flow.wire, flow.way, flow.lane, flow.style) == ("carrier-a", "up", lane, style)
    assert (flow.kinds, flow.ends, flow.packets) == ((kind,), ((source, target),), 1)


def test_what_a_relay_carries_is_data_only_for_those_whose_path_it_is() -> None:
    scene = seen(
        sighting(0.5, "carrier-a", "derp", HOME_A, NYC),
        path(1.0, "relay", "nyc"),
        sighting(1.5, "carrier-a", "derp", HOME_A, NYC),
        sighting(1.5, "nyc", "derp", HOME_A, NYC, "down"),
        path(2.5, "direct", HOME_B),
        sighting(3.0, "carrier-a", "derp", HOME_A, NYC),
    )

    assert scene.style("carrier-a", now=0.6) == "dashed"  # only the relay's own talk
    assert scene.style("carrier-a", now=1.6) == "solid"
    assert scene.style("nyc", now=1.6) == "solid"
    assert scene.style("carrier-a", now=3.0) == "dashed"  # endpoints are told through it


def test_acknowledgements_alone_are_no_flow() -> None:
    assert seen(sighting(1.0, "nyc", "tcp", NYC, HOME_A)).flows(now=1.0) == []


def test_data_through_a_peer_relay_is_not_direct() -> None:
    wrapped = Sighting(1.0, "carrier-a", "up", "data", HOME_A, HOME_B, 1, 100, by_peer_relay=True)

    [flow] = seen(wrapped).flows(now=1.0)

    assert (flow.lane, flow.style) == ("peer-relay", "solid")


def test_what_was_seen_is_shown_for_a_moment() -> None:
    scene = seen(
        sighting(1.0, "carrier-a", "disco-ping", HOME_A, HOME_B),
        sighting(1.2, "carrier-a", "data", HOME_A, HOME_B),
    )

    assert scene.style("carrier-a", now=0.9) is None
    assert scene.style("carrier-a", now=1.1) == "dashed"
    assert scene.style("carrier-a", now=1.2) == "double"  # the strongest counts
    assert scene.style("carrier-a", now=1.2, lane="relay") is None
    assert scene.style("carrier-a", now=1.3 + HOLD) is None
    assert scene.style("nobody's", now=1.2) is None


def test_tallies_of_one_moment_are_added_up() -> None:
    scene = seen(
        sighting(1.0, "carrier-a", "data", HOME_A, HOME_B),
        sighting(1.1, "carrier-a", "data", HOME_A, HOME_B),
        sighting(1.1, "carrier-a", "data", HOME_B, HOME_A, "down"),
    )

    up, down = scene.flows(now=1.1)

    assert (up.way, up.packets, up.bytes, up.last) == ("up", 2, 200, 1.1)
    assert (down.way, down.packets) == ("down", 1)


def test_old_sightings_are_forgotten() -> None:
    scene = seen(
        sighting(1.0, "carrier-a", "data", HOME_A, HOME_B),
        sighting(2.0 + KEPT, "carrier-a", "data", HOME_A, HOME_B),
    )

    assert scene.flows(now=1.0) == []
    assert len(scene.flows(now=2.0 + KEPT)) == 1


def test_a_sighting_is_a_line() -> None:
    one = sighting(1.0, "carrier-a", "data", HOME_A, HOME_B)
    assert parse_line(to_line(one)) == one


# --- pings


def test_pings_are_counted_as_they_end() -> None:
    scene = seen(
        Beat(seq=0, sent=1.0, at=1.1, rtt_ms=100.0),
        Beat(seq=1, sent=1.1, at=3.1),
        Beat(seq=2, sent=1.2, at=3.2),
        Beat(seq=1, sent=1.1, at=4.0, rtt_ms=2900.0),  # late, not lost
    )

    assert [(scene.answered(now), scene.lost(now)) for now in (1.0, 1.1, 3.2, 4.0)] == [
        (0, 0),
        (1, 0),
        (1, 2),
        (2, 1),
    ]
    assert [beat.seq for beat in scene.beats(since=1.1, now=3.2)] == [1, 2]


# --- what is broken, and the story


def test_what_is_broken_is_known_until_it_is_mended() -> None:
    scene = seen(
        {"at": 1.0, "host": "home-b", "event": "link", "up": False},
        {"at": 1.0, "host": B, "event": "cut", "peer": A},
        {"at": 1.0, "host": "nyc", "event": "daemon", "state": "exited"},
        {"at": 1.0, "host": "home-a", "event": "nat", "nat": "symmetric"},
        {"at": 2.0, "host": "home-b", "event": "link", "up": True},
        {"at": 2.0, "host": B, "event": "restore", "peer": A},
        {"at": 2.0, "host": "nyc", "event": "daemon", "state": "told", "action": "start"},
        {"at": 2.5, "host": "nyc", "event": "daemon", "state": "ready"},
    )

    assert scene.unplugged(now=1.5) == {"home-b"}
    assert scene.cuts(now=1.5) == {frozenset((A, B))}
    assert scene.daemons(now=2.1) == {"nyc": "exited"}
    assert scene.nats(now=2.0) == {"home-a": "symmetric"}
    assert (scene.unplugged(now=2.0), scene.cuts(now=2.0)) == (set(), set())
    assert scene.daemons(now=3.0) == {"nyc": "ready"}


def test_the_story_is_that_of_the_moment() -> None:
    scene = seen(path(1.0, "relay", "nyc"), path(1.5, "direct", HOME_B))

    assert [sentence.text for sentence in scene.story(now=1.0)] == [
        "packets from node-a to node-b go through nyc"
    ]
    assert len(scene.story(now=1.5)) == 2


# --- the way


def test_the_wires_between_two_machines() -> None:
    assert [wire.name for wire in between(PLAN, A, B)] == [
        *(A, "home-a", "carrier-a"),
        *("carrier-b", "home-b", B),
    ]
    assert [wire.name for wire in between(PLAN, A, "nyc")] == [A, "home-a", "carrier-a", "nyc"]
    assert [wire.name for wire in between(PLAN, A, "home-a")] == [A]


def test_who_is_below_a_wire() -> None:
    assert below(PLAN, "carrier-a") == {"carrier-a", "home-a", A}
    assert below(PLAN, A) == {A}


def test_a_relay_is_known_by_each_of_its_addresses() -> None:
    assert relay_addresses(PLAN) == {"198.51.100.10": "nyc"}
    through_nat64 = relay_addresses(plan_of(load("nat64")))
    assert "nyc" in through_nat64.values()
    assert any(address.startswith("2001:db8:64:") for address in through_nat64)


def seen(*items: Sighting | Beat | dict[str, Any]) -> Scene:
    scene = Scene(PLAN)
    for item in items:
        scene.take(parse(item) if isinstance(item, dict) else item)
    return scene


def path(at: float, kind: str, via: str, rtt_ms: float | None = None) -> dict[str, Any]:
    fields = {"at": at, "host": A, "event": "path", "peer": B}
    return {**fields, "kind": kind, "via": via, "rtt_ms": rtt_ms}


def sighting(
    at: float, wire: str, kind: Kind, source: str, target: str, way: Way = "up"
) -> Sighting:
    return Sighting(at, wire, way, kind, source, target, packets=1, bytes=100)
