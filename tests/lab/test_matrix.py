"""The matrix without a lab: its cells, what is expected of them, when one agrees, how it is told."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from lab.errors import BadRequest
from lab.judge import block
from lab.judge.matrix import BLOCK, Cell, Expected, blocks, expectations, profiles_named, report
from lab.model.presets import PRESETS
from lab.view import matrix_html, matrix_text
from lab.view.junit import junit
from lab.view.progress import Progress
from tests.fetched import fetched

DIRECT = {
    "path": "direct",
    "via": "203.0.113.20:41641",
    "first_packet_ms": 24.0,
    "direct_after_ms": 28.0,
    "echoes": 100,
    "lost": 0,
    "duplicated": 0,
    "unplugged": {"echoes": 20, "answered": 20},
    "proof": "flows",
}
SILENCE = {"proof": "silence", "unplugged": {"echoes": 20, "answered": 0}}
RELAYED = DIRECT | SILENCE | {"path": "relay", "via": "nyc", "direct_after_ms": None}
OPEN = Expected("direct", "D1", "nothing is in front of <it>")
HARD = Expected("relay", "R4b", "both map anew")


# --- what there is to do


def test_all_profiles_are_at_least_sixteen_and_meet_in_every_order() -> None:
    names = profiles_named("")
    pairs = [(a, b) for ones, others in blocks(names) for a in ones for b in others]

    assert names == list(PRESETS)
    assert len(names) >= 16
    assert len(pairs) == len(set(pairs)) == len(names) ** 2


@pytest.mark.parametrize(
    ("count", "sides"),
    [(1, [1]), (4, [4]), (6, [6]), (7, [4, 3]), (16, [6, 6, 4]), (18, [6, 6, 6])],
)
def test_blocks_are_even(count: int, sides: list[int]) -> None:
    ones = [len(rows) for rows, _ in blocks([str(n) for n in range(count)])]

    assert ones[:: len(sides)] == sides
    assert max(ones) <= BLOCK


def test_each_node_of_a_block_has_a_home_and_a_wan_of_its_own() -> None:
    """What makes it sound to try all pairs of a block at once."""
    ours = block.block_of(["symmetric", "open"], ["open", "symmetric"])
    topology = ours.topology()

    assert sorted(host.on for host in topology.hosts) == [
        (f"home-{side}-{n}",) for side in ("from", "to") for n in (1, 2)
    ]
    assert all(router.upstream is None for router in topology.routers)
    assert [(a.profile, b.profile) for a, b in ours.pairs] == [
        *(("symmetric", "open"), ("symmetric", "symmetric")),
        *(("open", "open"), ("open", "symmetric")),
    ]


@pytest.mark.parametrize(
    ("names", "told"), [("open,symetric", '"symmetric"'), ("open,", "no profile ''")]
)
def test_an_unknown_profile_is_told(names: str, told: str) -> None:
    with pytest.raises(BadRequest, match=told):
        profiles_named(names)


def test_who_calls_may_matter() -> None:
    expected = expectations(["port-restricted-cone", "home-linux-input-accept"])

    assert expected["port-restricted-cone", "home-linux-input-accept"].path == "relay"
    assert expected["home-linux-input-accept", "port-restricted-cone"].path == "direct"


def test_an_expectation_may_be_stated() -> None:
    expected = expectations(["open", "symmetric"], ["symmetric/open=relay"])

    assert expected["symmetric", "open"].path == "relay"
    assert expected["open", "symmetric"].path == "direct"


@pytest.mark.parametrize(
    "text", ["open", "open/open", "open/open=fast", "open=direct", "open/symmetric=relay"]
)
def test_a_statement_that_makes_no_sense_is_told(text: str) -> None:
    with pytest.raises(BadRequest, match=f"--expect {text}"):
        expectations(["open"], [text])


# --- when a cell agrees


@pytest.mark.parametrize(
    ("expected", "observed", "verdict"),
    [
        (OPEN, DIRECT, "agrees"),
        (HARD, RELAYED, "agrees"),
        (OPEN, RELAYED, "disagrees"),
        (HARD, DIRECT, "disagrees"),
        (OPEN, DIRECT | SILENCE, "disagrees"),  # it says direct, and falls silent with the relay
        (OPEN, DIRECT | {"proof": "stutters"}, "disagrees"),
        (HARD, RELAYED | {"proof": "flows"}, "disagrees"),  # it says relay, and flows without it
        (OPEN, DIRECT | {"path": "peer-relay"}, "disagrees"),
        (OPEN, None, "failed"),
    ],
)
def test_a_cell_agrees_if_it_is_told_and_proven(
    expected: Expected, observed: dict[str, Any] | None, verdict: str
) -> None:
    assert Cell("a", "b", expected, observed).verdict == verdict


def test_what_was_seen_is_told_from_echoes_and_events() -> None:
    beats = [n * 0.5 for n in range(8)]  # the relay is unplugged at 2.1
    received = [[at + 0.02] for at in beats]
    received[1] = []
    received[2].append(1.1)
    paths = [
        {"at": 0.01, "kind": "relay", "via": "nyc"},
        {"at": 0.3, "kind": "direct", "via": "203.0.113.20:41641"},
        {"at": 3.0, "kind": "relay", "via": "nyc"},  # after the unplugging: no claim of before
    ]

    seen = block.judge({"sent": beats, "received": received}, paths, unplugged=2.1)

    assert (seen["path"], seen["via"]) == ("direct", "203.0.113.20:41641")
    assert (seen["first_packet_ms"], seen["direct_after_ms"]) == (20.0, 300.0)
    assert (seen["echoes"], seen["lost"], seen["duplicated"]) == (4, 1, 1)
    assert (seen["unplugged"], seen["proof"]) == ({"echoes": 3, "answered": 3}, "flows")


@pytest.mark.parametrize(
    ("answered", "proof"), [(0, "silence"), (1, "stutters"), (10, "stutters"), (11, "flows")]
)
def test_a_few_lost_echoes_are_no_silence_and_a_few_that_came_no_flow(
    answered: int, proof: str
) -> None:
    assert block.proof(answered, 20) == proof


# --- how it is told


@pytest.fixture
def good() -> dict[str, Any]:
    cells = [
        Cell("hard", "hard", HARD, RELAYED),
        Cell("open", "hard", OPEN, DIRECT, first_try=RELAYED),
        Cell("hard", "open", OPEN, DIRECT),
        Cell("open", "open", OPEN, DIRECT),
    ]
    return report(["open", "hard"], cells, 12.34)


@pytest.fixture
def bad() -> dict[str, Any]:
    fine = Cell("open", "open", OPEN, DIRECT)
    cells = [
        fine,
        replace(fine, responder="hard", observed=RELAYED),
        replace(fine, initiator="hard", observed=None, problem="hung: cut off after 90 s"),
        Cell("hard", "hard", HARD, RELAYED),
    ]
    return report(["open", "hard"], cells, 12.34)


def test_the_report_is_in_the_order_of_the_profiles(good: dict[str, Any]) -> None:
    order = [(cell["initiator"], cell["responder"]) for cell in good["cells"]]

    assert order == [("open", "open"), ("open", "hard"), ("hard", "open"), ("hard", "hard")]
    assert good["summary"] == {
        "cells": 4,
        "agrees": 4,
        "disagrees": 0,
        "failed": 0,
        "agrees_only_when_tried_again": 1,
    }


def test_the_terminal_shows_a_grid_and_what_is_wrong(
    good: dict[str, Any], bad: dict[str, Any]
) -> None:
    assert matrix_text.terminal(good).splitlines()[:3] == [
        "           1   2",
        " 1  open   D  D*",
        " 2  hard   D   r",
    ]
    shown = matrix_text.terminal(bad)
    assert shown.splitlines()[1:3] == [" 1  open   D  r!", " 2  hard   x   r"]
    assert (
        "open to hard: expected direct (D1: nothing is in front of <it>), observed relay" in shown
    )
    assert "hard to open: hung: cut off after 90 s" in shown
    assert "4 cells in 12 s: 2 agree, 1 disagree, 1 failed" in shown


def test_a_disagreement_is_red(good: dict[str, Any], bad: dict[str, Any]) -> None:
    assert f"{matrix_text.RED}  r!{matrix_text.PLAIN}" in matrix_text.terminal(bad, colors=True)
    assert matrix_text.RED not in matrix_text.terminal(good, colors=True)


def test_markdown_has_the_grid_and_every_cell(bad: dict[str, Any]) -> None:
    lines = matrix_text.markdown(bad).splitlines()

    assert "| open | D | **r!** |" in lines
    assert sum(line.startswith("| open | ") for line in lines) == 3  # the grid's and two cells
    assert any("failed (hung: cut off after 90 s)" in line for line in lines)


def test_junit_counts_as_ci_servers_do(good: dict[str, Any], bad: dict[str, Any]) -> None:
    [suite] = Xml.fromstring(junit(bad))

    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "1")
    assert [case.get("name") for case in suite if case.find("failure") is not None] == [
        "open to hard"
    ]
    [suite] = Xml.fromstring(junit(good))
    assert suite.find(".//failure") is None


def test_the_page_stands_alone(bad: dict[str, Any]) -> None:
    page = matrix_html.html(bad)

    assert fetched(page) == []
    assert page.count('class="wrong"') == 2 + 1  # the key has one too
    assert "prefers-color-scheme: dark" in page
    assert "<it>" not in page  # what comes from elsewhere is escaped
    assert "&lt;it&gt;" in page


@pytest.mark.parametrize(("ms", "step"), [(3, 0), (10, 0), (11, 1), (99, 2), (999, 4), (9999, 4)])
def test_heat_has_five_steps_from_ten_milliseconds_up(ms: float, step: int) -> None:
    assert matrix_html.step(ms) == step


def test_progress_says_how_long_it_will_take() -> None:
    out, times = io.StringIO(), iter([0.0, 0.0, 30.0, 30.0, 30.0, 30.0, 40.0, 40.0, 40.0])
    progress = Progress(4, "cells", out, clock=lambda: next(times))

    progress.step(1)
    progress.say("a line that stays")
    progress.step(3)

    assert out.getvalue().splitlines() == [
        "[" + "." * 30 + "] 0/4 cells, time left: not known yet",
        "[#######" + "." * 23 + "] 1/4 cells, 1:30 left",
        "a line that stays",
        "[" + "#" * 30 + "] 4/4 cells, 40 s",
    ]
