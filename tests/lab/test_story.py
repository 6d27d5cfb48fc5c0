"""Events, as sentences for people."""

from __future__ import annotations

import pytest

from lab.model.events import Event, parse
from lab.view.story import Teller


def test_the_story_of_an_upgrade() -> None:
    assert told(
        {"at": 1.0, "host": "lab", "event": "up", "seconds": 0.5},
        {"at": 1.1, "host": "node-a", "event": "relay_connected", "region": "nyc"},
        {"at": 1.2, "host": "node-b", "event": "relay_connected", "region": "nyc"},
        {"at": 1.3, "host": "node-a", "event": "netcheck", "udp": True, "ipv4": "203.0.113.10:1"},
        path(2.0, "relay", "nyc"),
        {"at": 2.1, "host": "node-a", "event": "handshake", "peer": "node-b"},
        {"at": 2.1, "host": "node-b", "event": "handshake", "peer": "node-a"},
        call_me_maybe(2.1, "sent"),
        call_me_maybe(2.2, "received"),
        call_me_maybe(2.2, "sent"),
        path(2.31, "direct", "203.0.113.20:41641"),
    ) == [
        "the lab is up, after 0.50 s",
        "node-a is connected to the relay nyc",
        "node-b is connected to the relay nyc",
        "node-a is seen outside as 203.0.113.10:1",
        "packets from node-a to node-b go through nyc",
        "node-a and node-b agreed on keys",
        "node-a told node-b its endpoints through nyc",
        "the path from node-a to node-b moved to direct via 203.0.113.20:41641 after 0.31 s",
    ]


def test_the_story_of_a_fall_and_a_return() -> None:
    assert told(
        path(1.0, "relay", "nyc"),
        path(2.0, "direct", "203.0.113.20:41641"),
        {"at": 3.0, "host": "node-a", "event": "cut", "peer": "node-b", "one_way": False},
        path(4.0, "relay", "nyc", why="3 pings unanswered"),
        {"at": 5.0, "host": "node-a", "event": "restore", "peer": "node-b", "dropped": 7},
        path(6.5, "direct", "203.0.113.20:41641"),
        path(7.0, "direct", "203.0.113.20:41642"),
    )[2:] == [
        "the direct way between node-a and node-b was cut",
        "node-a fell back to nyc for node-b: 3 pings unanswered",
        "node-a and node-b may reach each other again; 7 packets met the cut",
        "the path from node-a to node-b moved to direct via 203.0.113.20:41641 after 2.50 s",
        "node-a reaches node-b directly at 203.0.113.20:41642 now",
    ]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"host": "home-b", "event": "link", "up": False, "wires": []}, "home-b was unplugged"),
        ({"host": "home-b", "event": "link", "up": True, "wires": []}, "home-b was plugged in"),
        (
            {"host": "nyc", "event": "link", "link": "nyc", "changed": ["delay 0 ms -> 40 ms"]},
            "the link nyc changed: delay 0 ms -> 40 ms",
        ),
        (
            {"host": "home-a", "event": "nat", "changed": ["nat: x -> y"], "forgotten": 3},
            "home-a forgot 3 flows (nat: x -> y)",
        ),
        (
            {
                "host": "node-a",
                "event": "move",
                "was": "home-a",
                "now": "cafe",
                "has": ["10.0.0.2"],
            },
            "node-a moved from home-a to cafe, as 10.0.0.2",
        ),
        ({"host": "nyc", "event": "daemon", "state": "frozen"}, "the daemon of nyc was frozen"),
        (
            {"host": "nyc", "event": "daemon", "state": "exited", "name": "derper"},
            "the derper of nyc ended by itself",
        ),
        ({"host": "node-a", "event": "netcheck", "udp": False}, "node-a gets no UDP out"),
    ],
)
def test_each_event_has_its_sentence(fields: dict[str, object], sentence: str) -> None:
    assert told({"at": 1.0, **fields}) == [sentence]


def test_who_ended_a_daemon_is_told() -> None:
    assert told(
        {"at": 1.0, "host": "nyc", "event": "daemon", "state": "told", "action": "kill"},
        {"at": 1.1, "host": "nyc", "event": "daemon", "state": "exited", "name": "derper"},
        {"at": 1.2, "host": "nyc", "event": "daemon", "state": "starting", "name": "derper"},
        {"at": 1.3, "host": "nyc", "event": "daemon", "state": "ready", "name": "derper"},
    ) == [
        "the derper of nyc was ended (kill)",
        "the derper of nyc is ready",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"event": "up", "seconds": "soon"},
        {"event": "nat", "changed": 7, "forgotten": None},
        {"event": "link"},
        {"event": "sneeze"},
        {"event": "netcheck", "ipv4": 7},
    ],
)
def test_words_that_a_daemon_makes_up_are_no_trouble(fields: dict[str, object]) -> None:
    told({"at": 1.0, "host": "stranger", **fields})


def told(*raw: dict[str, object]) -> list[str]:
    teller = Teller()
    events: list[Event] = [parse(each) for each in raw]
    return [sentence.text for event in events if (sentence := teller.tell(event))]


def path(at: float, kind: str, via: str, why: str | None = None) -> dict[str, object]:
    fields = {"at": at, "host": "node-a", "event": "path", "peer": "node-b"}
    return {**fields, "kind": kind, "via": via, "why": why}


def call_me_maybe(at: float, direction: str) -> dict[str, object]:
    fields = {"at": at, "host": "node-a", "event": "call_me_maybe", "peer": "node-b"}
    return {**fields, "direction": direction}
