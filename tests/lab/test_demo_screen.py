"""The demo's screen, from a scene: the drawing with its lines, the chart, the story; whatever the size."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from lab.model.beat import Beat
from lab.model.events import parse
from lab.model.layout import plan_of
from lab.model.plan import Plan
from lab.model.sighting import Kind, Sighting
from lab.model.topology import known, load
from lab.view.demo.canvas import text_of
from lab.view.demo.chart import chart, marks, scale
from lab.view.demo.glyphs import ASCII, UNICODE, Glyphs, glyphs_for
from lab.view.demo.play import Inbox, play
from lab.view.demo.screen import About, screen
from lab.view.scene import Path, Scene

NYC, HOME_A, HOME_B = "198.51.100.10:443", "203.0.113.10:41641", "203.0.113.20:41641"
A, B = "node-a", "node-b"
DOUBLE_NAT = plan_of(load("double-nat"))
RELAYED = {"at": 1.0, "host": A, "event": "path", "peer": B, "kind": "relay", "via": "nyc"}


def test_data_through_the_relay_is_solid_up_to_it() -> None:
    rows = drawn(RELAYED, *seen("derp", NYC))

    assert rows[1:5] == [
        "                                 ┌────────────┐",
        "                       ┌─────────┤ nyc (DERP) ├─────────┐",
        "                       │         └────────────┘         │",
        " node-a ─ home-a ─ carrier-a  · · · · · · · · · · · carrier-b ─ home-b ─ node-b",
    ]


def test_attempts_are_dashed_between_the_ends_while_data_is_relayed() -> None:
    rows = drawn(RELAYED, *seen("derp", NYC), *seen("disco-ping", HOME_B))

    assert rows[2] == "                       ┌─────────┤ nyc (DERP) ├─────────┐"
    assert (
        rows[4] == " node-a ─ home-a ─ carrier-a ╌╌╌╌╌╌╌ trying ╌╌╌╌╌╌╌ carrier-b ─ home-b ─ node-b"
    )


def test_the_upgraded_path_is_double_and_the_relay_has_nothing_to_do() -> None:
    rows = drawn(*seen("data", HOME_B))

    assert rows[2] == "                       · · · · · │ nyc (DERP) │ · · · · ·"
    assert (
        rows[4] == " node-a ═ home-a ═ carrier-a ═══════ direct ═══════ carrier-b ═ home-b ═ node-b"
    )


def test_without_unicode_the_three_styles_differ_as_well() -> None:
    assert glyphs_for("utf-8") is UNICODE
    assert glyphs_for("ANSI_X3.4-1968") is ASCII
    across = [drawn(RELAYED, *seen(*kind), glyphs=ASCII)[4] for kind in KINDS]

    assert across == [
        " node-a - home-a - carrier-a                        carrier-b - home-b - node-b",
        " node-a . home-a . carrier-a . . . . trying  . . .  carrier-b . home-b . node-b",
        " node-a = home-a = carrier-a ======= direct ======= carrier-b = home-b = node-b",
    ]
    assert all(text.isascii() for text in drawn(RELAYED, *seen("data", HOME_B), glyphs=ASCII))


def test_two_behind_one_router_have_it_between_them() -> None:
    plan = plan_of(load("same-lan"))
    rows = drawn(
        Sighting(1.2, A, "up", "data", "192.168.1.10:1", "192.168.1.11:1", 1, 1), plan=plan
    )

    assert rows[4] == (
        " node-a ═════════════════════════════ home ═════════════════════════════ node-b"
    )


def test_what_is_broken_is_marked_without_any_colour() -> None:
    rows = drawn(
        {"at": 1.0, "host": "nyc", "event": "daemon", "state": "exited"},
        {"at": 1.0, "host": B, "event": "link", "up": False},
        {"at": 1.0, "host": A, "event": "cut", "peer": B},
    )

    assert "nyc✗ (DERP)" in rows[2]
    assert rows[4].endswith("node-b✗")
    assert " cut " in rows[4]


def test_paths_pings_and_the_story_are_told() -> None:
    direct = {**RELAYED, "at": 1.2, "kind": "direct", "via": HOME_B}
    rows = drawn(RELAYED, direct, Beat(0, 1.0, 1.1, 100.0), Beat(1, 1.1, 1.2))

    assert rows[6] == " node-a to node-b: direct via 203.0.113.20:41641, for 0.0 s"
    assert rows[7] == " node-b to node-a: no path yet"
    assert rows[8] == " round trip   100 ms   packets lost so far: 1 of 2"
    assert "   0.50 packets from node-a to node-b go through nyc" in rows
    told = rows.index(
        "   0.70 the path from node-a to node-b moved to direct via 203.0.113.20:41641"
    )
    assert rows[told + 1] == "        after 0.20 s"
    assert rows[-2:] == [" as it was made", " q quit"]


def test_the_move_is_a_drop_in_the_chart() -> None:
    beats = [Beat(n, n / 4, n / 4, 180.0 if n < 4 else 60.0) for n in range(10)]
    beats[7] = Beat(7, 7 / 4, 7 / 4)

    rows = [text_of(row).rstrip() for row in chart(beats, 2.5, width=22, height=3, glyphs=UNICODE)]

    assert rows == [
        "  200 ms  ▆▆▆▆",
        "          ████",
        "    0 ms  ████▇▇▇×▇▇",
    ]


def test_the_move_is_marked_below_the_chart() -> None:
    paths = [Path("relay", "nyc", since=-9.0), Path("relay", "nyc", since=0.5)]
    paths += [Path("direct", HOME_B, since=2.5), Path("relay", "nyc", since=3.0)]

    row = text_of(marks(paths, 4.0, width=30))

    assert row == "              ^relay  ^ ^     "
    assert text_of(marks(paths[:3], 4.0, width=32)) == "                ^relay  ^direct "


def test_a_slow_terminal_shows_the_attempts_before_the_path_that_they_found() -> None:
    inbox, scene = Inbox(), Scene(DOUBLE_NAT)
    later = time.monotonic() + 60  # than this test may come to play
    attempt = Sighting(later, "carrier-a", "up", "disco-ping", HOME_A, HOME_B, 1, 1)
    data = Sighting(later + 0.2, "carrier-a", "up", "data", HOME_A, HOME_B, 1, 1)
    for each in (attempt, data, None):  # all that was missed while the last picture was drawn
        inbox.put(each)
    shown: list[str | None] = []

    def tick(now: float) -> bool:
        shown.append(scene.style("carrier-a", now))
        return True

    play(scene, inbox, tick)

    assert shown[:2] == ["dashed", "double"]


@pytest.mark.parametrize(
    ("most", "top"), [(0.0, 10.0), (10.0, 10.0), (10.1, 15.0), (184.0, 200.0), (1201.0, 1500.0)]
)
def test_the_scale_ends_with_a_round_number(most: float, top: float) -> None:
    assert scale([most]) == top


@pytest.mark.parametrize("topology", [name for name, _ in known()])
@pytest.mark.parametrize("size", [(80, 24), (132, 50), (60, 20), (20, 5)])
def test_every_topology_fits_every_terminal(topology: str, size: tuple[int, int]) -> None:
    plan = plan_of(load(topology))
    ends = [each.host for each in plan.daemons if each.settings.get("overlay")][:2]
    if len(ends) < 2:
        pytest.skip("nobody is in its overlay")
    scene = Scene(plan)
    about = About(plan.topology, plan.title, (ends[0], ends[1]), started=0.0)

    rows = screen(scene, about, 1.0, size, UNICODE, keys=" q quit " * 20)

    assert len(rows) == size[1]
    assert max(len(text_of(row)) for row in rows) <= size[0]


KINDS: tuple[tuple[Kind, str], ...] = (("derp", NYC), ("disco-ping", HOME_B), ("data", HOME_B))


def seen(kind: Kind, target: str) -> list[Sighting]:
    """On every wire, and on the relay's if it is for the relay."""
    wires = [wire.name for wire in DOUBLE_NAT.wires if wire.name != "nyc" or target == NYC]
    return [Sighting(1.2, wire, "up", kind, HOME_A, target, 1, 100) for wire in wires]


def drawn(
    *items: Sighting | Beat | dict[str, Any], plan: Plan = DOUBLE_NAT, glyphs: Glyphs = UNICODE
) -> Sequence[str]:
    scene = Scene(plan)
    for item in items:
        scene.take(parse(item) if isinstance(item, dict) else item)
    about = About("demo", "a title", (A, B), started=0.5, note="as it was made")
    rows = screen(scene, about, 1.2, (80, 24), glyphs, keys=" q quit")
    return [text_of(row).rstrip() for row in rows]
