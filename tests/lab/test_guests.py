"""Whoever asks a carrier from inside is a guest there, plugged in for the question."""

from __future__ import annotations

import pytest

from lab.client import Lab
from lab.errors import BadRequest
from lab.judge.judged import judge
from lab.judge.measured import Disagreement
from lab.judge.probe import probe
from lab.model.layout import plan_of
from lab.model.network import Router
from lab.model.topology import loads
from tests.lab.conftest import Up

CARRIER = """
router.isp.nat = "cgnat"
router.isp.addresses = ["203.0.113.10", "203.0.113.11"]
router.home-a = { upstream = "isp", nat = "full-cone" }
router.home-b = { upstream = "isp", nat = "full-cone" }
host.node-a.on = "home-a"
"""


def test_guests_are_gone_when_they_have_been_asked(up: Up) -> None:
    topology = loads(CARRIER, "carrier.toml")
    lab = up(plan_of(topology))
    before = links(lab)

    for _ in "12":
        assert disagreements(lab, topology.router("isp")) == []
        assert links(lab) == before
    assert "home-a" in before


def test_a_guest_that_goes_takes_no_gateway_away(up: Up) -> None:
    lab = up(plan_of(loads(CARRIER, "carrier.toml")))
    alone = mac_of_the_gateway(lab)

    lab.run("isp", ["sh", "-ec", LOWEST_OF_ALL])
    beside_a_guest = mac_of_the_gateway(lab)
    lab.run("isp", ["ip", "link", "del", "guest"])

    assert beside_a_guest == alone
    assert mac_of_the_gateway(lab) == alone


def test_a_router_with_nobody_behind_it_is_not_judged(up: Up) -> None:
    lab = up(plan_of(loads(CARRIER, "carrier.toml")))

    with pytest.raises(BadRequest, match="nothing is behind home-b"):
        probe(lab, "home-b")


# Of such an address the kernel makes the bridge's.
LOWEST_OF_ALL = """
ip link add guest address 00:00:00:00:00:01 type veth
ip link set guest master lan0 up
"""


def mac_of_the_gateway(lab: Lab) -> str:
    """As a neighbour learns it."""
    lab.run("home-a", ["ip", "neigh", "flush", "all"])
    lab.run("home-a", ["ping", "-c1", "-W5", "10.64.0.1"])
    known = lab.run("home-a", ["ip", "neigh", "show", "10.64.0.1"]).stdout
    return known.partition("lladdr ")[2].split()[0]


def disagreements(lab: Lab, router: Router) -> list[Disagreement]:
    return list(judge(lab, router).disagreements)


def links(lab: Lab) -> list[str]:
    shown = lab.run("isp", ["ip", "-brief", "link"]).stdout
    return sorted(line.partition("@")[0].split()[0] for line in shown.splitlines())
