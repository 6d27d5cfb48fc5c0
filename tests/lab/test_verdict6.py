"""The path to expect where there is IPv6; `tests/e2e/test_ipv6.py` sees the same in labs."""

from __future__ import annotations

import pytest

from lab.model.topology import load, loads
from lab.model.verdict import expect
from lab.view.diagrams.mermaid import mermaid

SHIPPED = [
    ("dual-stack", {}, "D3"),
    ("dual-stack", {"host.node-b.ipv6": "false"}, "R4b"),
    ("dual-stack", {"router.home-b.ipv6": "firewall-open"}, "D1"),
    ("v6-only", {}, "D3"),
    ("v6-only", {"router.home-a.ipv6": "nat66"}, "D3"),
    ("v6-only", {"router.home-a.ipv6": "nptv6"}, "D1"),
    ("v6-only", {"router.home-a.ipv6": "open"}, "D1"),
    ("nat64", {}, "D1"),
    ("nat64", {"router.carrier.nat": "port-restricted-cone"}, "R8"),
    ("nat64", {"router.home-b.nat": "full-cone", "router.carrier.nat": "symmetric"}, "R8"),
]

CHAINS = """
router.isp = { nat = "symmetric", ipv6 = "firewall" }
router.home-a = { nat = "symmetric", ipv6 = "open", upstream = "isp" }
router.home-b = { nat = "symmetric", ipv6 = "open", upstream = "isp" }
router.home-c = { nat = "symmetric", upstream = "isp" }
router.alone = { ipv4 = false, ipv6 = "firewall" }
host.a.on = "home-a"
host.b.on = "home-b"
host.c.on = "home-c"
host.d.on = "alone"
host.e.on = "home-a"
"""


@pytest.mark.parametrize(("name", "overrides", "rule"), SHIPPED)
def test_the_shipped_topologies(name: str, overrides: dict[str, str], rule: str) -> None:
    topology = load(name, overrides)
    one, other = (host.name for host in topology.hosts)

    verdict = expect(topology, one, other)
    assert verdict.rule == rule
    assert verdict.path == ("relay" if rule.startswith("R") else "direct")
    assert expect(topology, other, one).rule == rule


@pytest.mark.parametrize(
    ("one", "other", "rule"),
    [
        ("a", "b", "D1"),  # their carrier's firewall does not stand between them
        ("a", "c", "R6"),
        ("a", "d", "D3"),
        ("c", "d", "R7"),  # the one has IPv4, the other IPv6
        ("a", "e", "LAN"),
    ],
)
def test_chains_in_two_families(one: str, other: str, rule: str) -> None:
    assert expect(loads(CHAINS, "x.toml"), one, other).rule == rule


def test_the_reason_names_the_family_and_the_router() -> None:
    reason = expect(load("v6-only"), "node-a", "node-b").reason
    assert reason.startswith("IPv6: neither mapping moves as far as home-")
    words = {"router.carrier.nat": "port-restricted-cone"}
    assert expect(load("nat64", words), "phone", "node-b").reason == (
        "phone pings no IPv4 endpoint, and carrier lets in nobody else than who was pinged"
    )


def test_a_diagram_says_what_routers_do_with_ipv6() -> None:
    assert "symmetric<br/>IPv6 firewall" in mermaid(load("dual-stack"))
    assert '"home-a<br/>IPv6 firewall"' in mermaid(load("v6-only"))
    assert "IPv6 firewall, NAT64" in mermaid(load("nat64"))
