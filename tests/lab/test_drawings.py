"""The drawing at the head of each topology says what the file says: the machines, and what joins them."""

from __future__ import annotations

import pytest

from lab.model.layout import plan_of
from lab.model.plan import Plan
from lab.model.topology import known, load
from tests.lab.drawn import joined, named


@pytest.mark.parametrize("name", [name for name, _ in known()])
def test_a_drawing_has_the_machines_and_the_links_of_the_plan(name: str) -> None:
    plan = plan_of(load(name))
    assert wrong(plan, plan.drawing) == []


@pytest.mark.parametrize(
    ("was", "now", "found"),
    [
        ("node-a -- home-a", "node-a -- home-b", "home-a is not drawn"),
        ("node-b -- ", "          ", "node-b is not drawn"),
        ("internet -- nyc", "internet    nyc", "nothing joins internet and nyc"),
        ("home-b --+", "home-b   +", "nothing joins home-b and internet"),
        ("node-b -- home-b", "node-b    home-b", "nothing joins home-b and node-b"),
        ("internet -- nyc", "nyc -- internet", "no link joins home-a, home-b and nyc"),
    ],
)
def test_a_drawing_that_is_wrong_is_seen(was: str, now: str, found: str) -> None:
    plan = plan_of(load("nat-pair"))
    assert was in plan.drawing
    assert found in wrong(plan, plan.drawing.replace(was, now))


def test_lines_go_round_corners_and_over_words() -> None:
    drawing = "x: y.\n\n  b +-- a (z) --+\n                |\n  c ~~ 5 ms ~~~~+-- d, e\n"
    nets = joined(drawing, ["a", "b", "c", "d", "e"])
    assert nets == {frozenset("ab"), frozenset("acde")}


def wrong(plan: Plan, drawing: str) -> list[str]:
    """Machines that are not drawn (but a drawing may leave out all hosts), lines that are no links, and links
    between drawn machines that are no lines."""
    machines = {machine.name: machine.kind for machine in plan.machines}
    links = {frozenset((wire.a[0], wire.b[0])) for wire in plan.wires}
    nets, drawn = joined(drawing, list(machines)), named(drawing, list(machines))
    missing, hosts = set(machines) - drawn, {m for m, kind in machines.items() if kind == "host"}
    found = [f"{name} is not drawn" for name in missing if missing != hosts]
    found += [f"no link joins {listed(net)}" for net in nets if not is_star(net, links)]
    undrawn = [link for link in links if link <= drawn and not any(link <= net for net in nets)]
    return sorted(found + [f"nothing joins {listed(link)}" for link in undrawn])


def is_star(net: frozenset[str], links: set[frozenset[str]]) -> bool:
    """One machine of them has a link to each of the others."""
    return any(all(frozenset({one, other}) in links for other in net - {one}) for one in net)


def listed(names: frozenset[str]) -> str:
    *first, last = sorted(names)
    return f"{', '.join(first)} and {last}"
