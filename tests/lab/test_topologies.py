"""The topologies that are shipped: each loads, lays out, draws, and tells its story."""

import pytest

from lab.model.layout import plan_of
from lab.model.plan import Plan
from lab.model.topology import known, load
from lab.view.diagrams.mermaid import mermaid

NAMES = [name for name, _ in known()]
WIDTH = 90  # columns that a drawing has in a terminal, with room to indent


def test_the_topologies_that_others_rely_on_are_there() -> None:
    assert {
        "nat-pair",
        "double-nat",
        "hard-pair",
        "easy-hard",
        "same-lan",
        "same-carrier",
        "public",
        "udp-blocked",
        "port-mapped",
        "two-regions",
        "two-uplinks",
        "office",
        "lossy",
        "dual-stack",
        "v6-only",
        "nat64",
    } <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_lays_out_and_draws(name: str) -> None:
    topology = load(name)
    plan = plan_of(topology)
    assert plan.topology == name
    assert len(plan.machines) == len(topology.names) + 1
    assert Plan.from_json(plan.to_json()) == plan
    drawn = mermaid(topology)
    assert all(machine in drawn for machine in topology.names)


@pytest.mark.parametrize("name", NAMES)
def test_its_head_is_a_drawing_of_routers_and_relays_and_its_title_one_line(name: str) -> None:
    topology = load(name)
    assert topology.drawing.startswith(f"{name}: ")
    assert max(len(line) for line in topology.drawing.splitlines()) <= WIDTH
    routers = [router.name for router in topology.routers]
    drawn = [*(relay.name for relay in topology.relays), *routers]
    assert [name for name in drawn if name not in topology.drawing] == []
    assert 10 < len(topology.title) < WIDTH
    assert "\n" not in topology.title


@pytest.mark.parametrize("name", NAMES)
def test_its_nodes_know_each_other_by_overlay_addresses_of_their_own(name: str) -> None:
    nodes = [host for host in load(name).hosts if host.runs == "node"]
    assert len(nodes) >= 2
    assert len({host.overlay for host in nodes}) == len(nodes)


def test_the_reference_picture_has_its_addresses() -> None:
    for name in ("nat-pair", "double-nat", "hard-pair"):
        topology = load(name)
        assert topology.host("node-a").overlay == ("100.64.1.10",)
        assert topology.host("node-b").overlay == ("100.64.2.20",)
        assert topology.relay("nyc").hostname == "nyc.derp.example"


def test_the_office_has_all_nine_kinds_once() -> None:
    kinds = {(router.nat.mapping, router.nat.filtering) for router in load("office").routers}
    assert len(kinds) == 9
