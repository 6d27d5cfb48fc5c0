"""Below a NAT, a router that only routes hides nobody: the NAT sees each host behind it as one of its own."""

from __future__ import annotations

import pytest

from lab.model.errors import TopologyError
from lab.model.layout import plan_of
from lab.model.topology import loads
from tests.lab.conftest import Up

CHAIN = """
title = "A NAT above a router that only routes"
router.top = {{ nat = "{nat}" }}
router.mid = {{ nat = "open", upstream = "top" }}
host.a.on = "mid"
host.b.on = "mid"
host.server = {{}}
"""


def test_a_one_to_one_nat_gives_each_of_them_an_address_that_is_reached(up: Up) -> None:
    lab = up(loads(CHAIN.format(nat="elastic-ip"), "x.toml"))
    outside = [each for each in lab.plan().machine("top").interfaces if each.name == "wan0"]
    _, of_a, of_b = (address.partition("/")[0] for address in outside[0].addresses)

    for host, address in (("a", of_a), ("b", of_b)):
        assert lab.run(host, ["ping", "-c1", "-W1", "server"]).returncode == 0
        assert lab.run("server", ["ping", "-c1", "-W1", address]).returncode == 0
    lab.unplug("b")
    assert lab.run("server", ["ping", "-c1", "-W1", of_b]).returncode == 1  # it was b who answered


def test_with_too_few_addresses_it_is_refused_by_file_and_key() -> None:
    text = CHAIN.format(nat="elastic-ip").replace("top = {", "top = { addresses = '44.0.0.1',")

    with pytest.raises(TopologyError) as caught:
        loads(text, "x.toml")
    problem = "a one-to-one NAT needs an address for each machine inside: 3"
    hint = "give it 3, or leave them out"
    assert str(caught.value) == f"x.toml: router.top.addresses: {problem}; {hint}"


def test_two_hosts_behind_it_are_a_crowd_for_the_nat_above() -> None:
    [rules] = (
        plan_of(loads(CHAIN.format(nat="port-restricted-cone"), "x.toml")).machine("top").rules
    )

    assert rules.backend == "nftables"
    assert "a second inside host" in rules.why
