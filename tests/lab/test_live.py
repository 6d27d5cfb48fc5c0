"""A running topology, changed: as strictly checked as at first, and nobody moves but who was meant."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lab.model.errors import TopologyError
from lab.model.layout import plan_of
from lab.model.live import moved, nat_words, pins, with_nat, with_wan
from lab.model.network import Topology
from lab.model.plan import Machine
from lab.model.topology import known, load, loads

HOMES = """
[router.home-a]
nat = "port-restricted-cone"
[router.home-b]
nat = "symmetric"
[host.a1]
on = "home-a"
[host.a2]
on = "home-a"
[host.b1]
on = "home-b"
[host.server]
"""
Change = Callable[[Topology], Topology]


def homes(**overrides: str) -> Topology:
    return loads(HOMES, "homes.toml", overrides)


def differing(before: Topology, after: Topology) -> list[str]:
    """The machines of which more differs than the names that they know."""
    pairs = zip(plan_of(before).machines, plan_of(after).machines, strict=True)
    return [new.name for old, new in pairs if _bare(old) != _bare(new)]


def _bare(machine: Machine) -> object:
    return machine.interfaces, machine.routes, machine.rules, machine.sysctls


@pytest.mark.parametrize("name", [name for name, _ in known()])
def test_pinned_a_topology_is_laid_out_as_before(name: str) -> None:
    before = load(name)
    assert before.source is not None

    after = loads(before.source.text, before.file, pins(before))

    assert plan_of(after) == plan_of(before)


def test_another_nat_is_another_router_and_nothing_else() -> None:
    after = with_nat(homes(), "home-a", "symmetric")

    assert differing(homes(), after) == ["home-a"]
    assert nat_words(after, "home-a") == "symmetric"
    assert "--random-fully" in plan_of(after).machine("home-a").rules[0].text


def test_a_nat_may_be_given_in_words() -> None:
    words = '{ mapping = "address-dependent", filtering = "address-dependent", hairpin = true }'

    assert nat_words(with_nat(homes(), "home-a", words), "home-a") == words


def test_a_new_nat_replaces_what_was_overridden_of_the_old_one() -> None:
    before = homes(**{"router.home-a.nat": "symmetric", "router.home-a.nat.hairpin": "true"})

    assert nat_words(with_nat(before, "home-a", "full-cone"), "home-a") == "full-cone"


def test_another_wan_address_changes_the_router_and_the_way_to_it() -> None:
    after = with_wan(homes(), "home-a", ["203.0.113.99"])

    assert differing(homes(), after) == ["internet", "home-a"]
    assert plan_of(after).underlay["home-a"] == "203.0.113.99"
    assert plan_of(after).underlay["home-b"] == "203.0.113.20"  # not the one that is free now


def test_a_wan_address_of_one_family_keeps_the_other() -> None:
    before = load("dual-stack")

    after = with_wan(before, "home-a", ["203.0.113.99"])

    wan = plan_of(after).machine("home-a").interfaces[0].addresses
    assert wan == (
        "203.0.113.99/32",
        *plan_of(before).machine("home-a").interfaces[0].addresses[1:],
    )


def test_a_moved_host_takes_a_free_address_and_its_neighbours_keep_theirs() -> None:
    before = homes()

    after = moved(before, "a1", "home-b")

    assert differing(before, after) == ["home-a", "home-b", "a1"]
    assert {name: plan_of(after).underlay[name] for name in ("a1", "a2", "b1")} == {
        "a1": "192.168.2.11",
        "a2": "192.168.1.11",
        "b1": "192.168.2.10",
    }
    assert plan_of(after).machine("a1").routes[0].via == "192.168.2.1"


def test_changes_add_up_and_a_way_back_leads_back() -> None:
    there = moved(with_nat(homes(), "home-b", "full-cone"), "a1", "home-b")

    back = moved(there, "a1", "home-a")

    assert nat_words(back, "home-b") == "full-cone"
    assert plan_of(with_nat(back, "home-b", "symmetric")) == plan_of(homes())


def test_of_two_uplinks_the_first_one_moves() -> None:
    before = load("two-uplinks")

    after = moved(before, "node-a", "home-b")

    old, new = (plan_of(each).machine("node-a").interfaces for each in (before, after))
    assert new[0].addresses == ("192.168.2.11/24",)
    assert new[1] == old[1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: with_nat(t, "home-c", "symmetric"), 'no router "home-c"; did you mean'),
        (lambda t: with_nat(t, "home-a", "symetric"), "did you mean 'symmetric'?"),
        (lambda t: with_nat(t, "home-a", "elastic-ip"), "needs an address for each machine inside"),
        (lambda t: with_nat(t, "home-a", "{ mapping = 1 }"), "router.home-a.nat.mapping: 1 is not"),
        (lambda t: with_wan(t, "home-a", ["203.0.113.20"]), "203.0.113.20 is taken by home-"),
        (lambda t: with_wan(t, "home-a", ["192.168.2.7"]), "192.168.2.7"),
        (lambda t: with_wan(t, "home-a", ["here"]), '"here" is not an address'),
        (lambda t: moved(t, "a3", "home-b"), 'there is no host "a3"'),
        (lambda t: moved(t, "home-a", "home-b"), 'there is no host "home-a"'),
        (lambda t: moved(t, "a1", "server"), 'there is no router "server"'),
    ],
)
def test_a_change_that_cannot_be_is_told_as_a_topology_that_cannot(
    change: Change, told: str
) -> None:
    with pytest.raises(TopologyError) as error:
        change(homes())

    assert told in str(error.value)
    assert "\n" not in str(error.value)
