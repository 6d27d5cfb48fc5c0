"""A chain of four routers, each another NAT: packets pass them all, and each is measured by itself.

inside -- flat -- house -- town -- carrier --+-- server
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from lab.judge.measured import compare
from lab.judge.probe import probe
from lab.model.topology import loads
from tests.lab.conftest import Up
from tests.lab.plans import PING

CHAIN = """
router.carrier.nat = "restricted-cone"
router.town = { upstream = "carrier", nat = "symmetric" }
router.house = { upstream = "town", nat = "full-cone" }
router.flat = { upstream = "house", nat = "port-restricted-cone" }
host.inside.on = "flat"
host.server = {}
"""


def test_a_ping_passes_four_nats_and_each_of_them_is_what_it_is_called(up: Up) -> None:
    topology = loads(CHAIN, "chain.toml")
    lab = up(topology)

    assert lab.run("inside", [*PING, "server"]).returncode == 0
    lab.unplug("town")
    assert lab.run("inside", [*PING, "server"]).returncode != 0  # it went through the middle
    lab.plug("town")

    with ThreadPoolExecutor() as pool:
        measured = list(pool.map(lambda each: probe(lab, each.name), topology.routers))
    for router, found in zip(topology.routers, measured, strict=True):
        agreed = [other.name for other in topology.routers if not compare(other.nat, found)]
        assert agreed == [router.name]  # and it is no other one of the four
