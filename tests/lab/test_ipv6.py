"""IPv6 in topologies: what is laid out, and what is refused, with file and key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.model.layout import plan_of
from lab.model.plan import Interface, Plan, Route
from lab.model.topology import TopologyError, load, loads

# Two homes with IPv6, with room for one mistake more.
GOOD = """
relay.nyc = {}
router.home-a = { nat = "symmetric", ipv6 = "firewall", lan6 = "2001:db8:a::/64" }
router.home-b = { nat = "symmetric", ipv6 = "nptv6" }
host.node-a = { on = "home-a", runs = "node", overlay = "100.64.1.10" }
host.node-b = { on = "home-b", runs = "node", overlay = "100.64.2.20" }
"""

BAD = {
    # Words.
    "router.r = { nat = 'open', ipv6 = 'firewal' }": (
        'router.r.ipv6: "firewal" is no word for it; did you mean "firewall"?'
    ),
    "router.r = { nat = 'open', ipv6 = true }": "router.r.ipv6: true is not a text",
    "router.r = { nat = 'open', ipv4 = 'no' }": 'router.r.ipv4: "no" is not true or false',
    # What would do nothing.
    "router.r = { nat = 'open', lan6 = '2001:db8:a::/64' }": (
        'router.r.lan6: does nothing without IPv6; add ipv6 = "firewall"'
    ),
    "router.r = { nat = 'open', nat64 = true }": (
        'router.r.nat64: does nothing without IPv6; add ipv6 = "firewall"'
    ),
    "router.r = { nat = 'open', ipv6 = 'open', ipv4 = false }": (
        "router.r.nat: does nothing without IPv4"
    ),
    "router.r = { lan = '10.0.0.0/24', ipv6 = 'open', ipv4 = false }": (
        "router.r.lan: does nothing without IPv4"
    ),
    "router.r = { nat = 'symmetric', ipv6 = 'open', nat64 = true }\nhost.a.on = 'r'": (
        "router.r.nat64: does nothing: no host without IPv4 is behind it; "
        "say ipv4 = false on a host inside"
    ),
    "relay.nyc = { ipv6 = false, addresses = '2001:db8::9' }": (
        "relay.nyc.addresses: 2001:db8::9 does nothing: nyc has no IPv6"
    ),
    "router.r.nat = 'open'\nhost.a = { on = 'r', addresses = '2001:db8::9' }": (
        "host.a.addresses: 2001:db8::9 does nothing: a has no IPv6"
    ),
    # Prefixes and addresses.
    "router.r = { nat = 'open', ipv6 = 'open', lan6 = '2001:db8:a::1/64' }": (
        'router.r.lan6: "2001:db8:a::1/64" is not a network; did you mean "2001:db8:a::/64"?'
    ),
    "router.r = { nat = 'open', ipv6 = 'open', lan6 = '192.168.1.0/24' }": (
        'router.r.lan6: "192.168.1.0/24" is not a network such as "2001:db8:1:1::/64"'
    ),
    "router.r = { nat = 'open', ipv6 = 'open', lan6 = '2001:db8:a::/56' }": (
        "router.r.lan6: 2001:db8:a::/56 has the wrong size; a LAN has a /64"
    ),
    "router.r = { nat = 'open', ipv6 = 'open', lan6 = 'fd7a:115c:a1e0:1::/64' }": (
        "router.r.lan6: fd7a:115c:a1e0:1::/64 overlaps the overlay's fd7a:115c:a1e0::/48"
    ),
    "router.r = { nat = 'open', ipv6 = 'open', lan6 = '2001:db8:64::/64' }": (
        "router.r.lan6: 2001:db8:64::/64 is not a LAN's: it has a meaning of its own"
    ),
    "host.a.addresses = 'fe80::9'": "host.a.addresses: fe80::9 is not the address of a machine",
    "host.a.addresses = '2001:db8:64::9'": (
        "host.a.addresses: 2001:db8:64::9 lies in 2001:db8:64::/96, "
        "where NAT64 shows IPv4 addresses"
    ),
    "host.a.addresses = 'fd7a:115c:a1e0::9'": (
        "host.a.addresses: fd7a:115c:a1e0::9 lies in the overlay's fd7a:115c:a1e0::/48"
    ),
    "host.a.addresses = '2001:db8:192::1'": (
        "host.a.addresses: 2001:db8:192::1 is taken by the internet itself"
    ),
    "relay.nyc.addresses = ['2001:db8::8', '2001:db8::9']": (
        "relay.nyc.addresses: a relay has one IPv6 address, not 2"
    ),
    # Nobody without an address, nobody cut off.
    "host.a = { ipv4 = false, ipv6 = false }": (
        "host.a.ipv6: there is no IPv4 either; leave one of them"
    ),
    "router.r = { ipv4 = false }": (
        "router.r.ipv6: missing, and there is no IPv4 either; say what it does with IPv6: "
        "open, firewall, firewall-open, nat66, nptv6"
    ),
    "router.r.nat = 'open'\nhost.a = { on = 'r', ipv4 = false }": (
        "host.a: is left without an address: r has no IPv6"
    ),
    "router.r = { ipv4 = false, ipv6 = 'open' }\nhost.a = { on = 'r', ipv6 = false }": (
        "host.a: is left without an address: r has no IPv4"
    ),
    "router.r.nat = 'open'\nhost.a = { on = 'r', ipv6 = true }": (
        'host.a.ipv6: r has no IPv6; give it ipv6 = "firewall"'
    ),
    "router.isp.nat = 'open'\nrouter.r = { nat = 'open', ipv6 = 'open', upstream = 'isp' }": (
        "router.r.upstream: r has IPv6, and isp above it has none"
    ),
    "router.isp = { ipv4 = false, ipv6 = 'open' }\nrouter.r = { nat = 'open', upstream = 'isp' }": (
        "router.r.upstream: r has IPv4, and isp above it has none"
    ),
    "relay.nyc.ipv6 = false\nhost.a = { ipv4 = false, runs = 'node', overlay = '100.64.1.1' }": (
        "host.a.runs: reaches no relay: it has IPv6 only, and nyc none of it; "
        "a router with nat64 = true would lead there"
    ),
    "relay.nyc.ipv4 = false\nhost.a = { ipv6 = false, runs = 'node', overlay = '100.64.1.1' }": (
        "host.a.runs: reaches no relay: it has IPv4 only, and nyc none of it"
    ),
    "relay.nyc = {}\nrelay.fra.ipv6 = false\n"
    "host.a = { ipv4 = false, runs = 'node', overlay = '100.64.1.1', home = 'fra' }": (
        "host.a.home: reaches no relay: it has IPv6 only, and fra none of it; "
        "a router with nat64 = true would lead there"
    ),
    # Translators.
    "router.isp = { nat = 'open', ipv6 = 'nptv6' }\n"
    "router.r = { nat = 'open', ipv6 = 'firewall', upstream = 'isp' }": (
        "router.r.ipv6: its prefix is not the one that isp translates; "
        'only "nat66" works below the "nptv6" of isp'
    ),
    "router.r = { nat = 'open', ipv6 = 'open', nat64 = true }": (
        "router.r.nat64: needs a NAT behind it: the hosts inside share the router's IPv4 address; "
        'take nat = "port-restricted-cone"'
    ),
    "router.r = { ipv4 = false, ipv6 = 'open', nat64 = true }": (
        "router.r.nat64: needs IPv4 on the outside"
    ),
    "router.r = { nat = 'symmetric', ipv6 = 'open', nat64 = true, port_mapping = 'pcp' }": (
        "router.r.nat64: a router runs one daemon, and port_mapping needs one; "
        "put one of the two on a router above"
    ),
}

BAD_BESIDE_GOOD = {
    "router.c = { nat = 'open', ipv6 = 'open', lan6 = '2001:db8:a::/64' }": (
        "router.c.lan6: 2001:db8:a::/64 overlaps 2001:db8:a::/64, the lan of home-a"
    ),
    "router.c = { nat = 'open', ipv6 = 'open', lan6 = '2001:db8:203::/64' }": (
        "router.c.lan6: 2001:db8:203::/64 overlaps 2001:db8:203::/64 of the internet"
    ),
    "router.c = { nat = 'open', ipv6 = 'open', lan6 = '2001:db8:2:1::/64' }": (
        "router.c.lan6: 2001:db8:2:1::/64 overlaps 2001:db8:2:1::/64, which NPTv6 shows for home-b"
    ),
    "host.pc = { on = 'home-a', addresses = '2001:db8:a::1' }": (
        "host.pc.addresses: 2001:db8:a::1 is home-a's own address in its lan"
    ),
    "host.pc = { on = 'home-a', addresses = '2001:db8:b::2' }": (
        "host.pc.addresses: 2001:db8:b::2 is not in 2001:db8:a::/64, the lan of home-a"
    ),
    "host.pc = { on = 'home-b', addresses = 'fd00:1::9' }": (
        "host.pc.addresses: fd00:1::9 is in no lan that is given; give home-b a lan6"
    ),
    "host.pc = { on = 'home-a', addresses = '2001:db8:a::9' }\n"
    "host.tv = { on = 'home-a', addresses = '2001:db8:a::9' }": (
        "host.tv.addresses: 2001:db8:a::9 is taken by pc"
    ),
}


@pytest.mark.parametrize(("text", "line"), BAD.items())
def test_a_mistake_is_one_line_with_file_and_key(text: str, line: str) -> None:
    assert problem_of(text) == f"x.toml: {line}"


@pytest.mark.parametrize(("text", "line"), BAD_BESIDE_GOOD.items())
def test_a_mistake_between_tables_names_the_later_one(text: str, line: str) -> None:
    assert problem_of(GOOD + text) == f"x.toml: {line}"


def test_two_homes_beside_the_ipv4_that_they_had() -> None:
    plan = plan_of(loads(GOOD, "x.toml"))

    assert addresses(plan) == {
        "internet": ["192.0.2.1/32", "2001:db8:192::1/128"],
        "nyc": ["198.51.100.10/32", "2001:db8:198::10/128"],
        "home-a": ["203.0.113.10/32", "2001:db8:203::10/128", "192.168.1.1/24", "2001:db8:a::1/64"],
        "home-b": ["203.0.113.20/32", "2001:db8:203::20/128", "192.168.2.1/24", "fd00:1::1/64"],
        "node-a": ["192.168.1.10/24", "2001:db8:a::10/64"],
        "node-b": ["192.168.2.10/24", "fd00:1::10/64"],
    }
    assert [route for route in plan.machine("internet").routes if ":" in route.to] == [
        Route("2001:db8:198::10/128", "nyc"),
        Route("2001:db8:203::10/128", "home-a"),
        Route("2001:db8:203::20/128", "home-b"),
        Route("2001:db8:a::/64", "home-a", via="2001:db8:203::10", onlink=True),
        Route("2001:db8:2:1::/64", "home-b", via="2001:db8:203::20", onlink=True),
    ]
    assert plan.machine("node-a").routes == (
        Route("default", "eth0", via="192.168.1.1"),
        Route("default", "eth0", via="fe80::1"),
    )
    assert [rules.backend for rules in plan.machine("home-a").rules] == ["iptables", "ip6tables"]
    assert ("net.ipv6.conf.all.forwarding", "1") in plan.machine("home-a").sysctls


def test_link_local_addresses_differ_on_every_link() -> None:
    plan = plan_of(loads(GOOD + "host.pc = { on = 'home-a', addresses = '2001:db8:a::2' }", "x"))

    for name in ("nyc", "home-a", "home-b"):
        uplink = "eth0" if name == "nyc" else "wan0"
        assert link_local(plan, name, uplink) == "fe80::2/64"
        assert link_local(plan, "internet", name) == "fe80::1/64"
    assert link_local(plan, "home-a", "lan0") == "fe80::1/64"
    assert link_local(plan, "node-a", "eth0") == "fe80::10/64"
    assert link_local(plan, "pc", "eth0") == "fe80::2/64"


def test_a_topology_without_ipv6_has_none_at_all() -> None:
    plan = plan_of(load("nat-pair"))
    told = replace(plan, drawing="").to_json().replace('["::1","localhost"]', "")
    assert "ipv6" not in told
    assert "::" not in told


def test_ipv6_moves_no_ipv4_address() -> None:
    before = addresses(plan_of(load("nat-pair")))
    text = {"router.home-a.ipv6": "firewall", "router.home-b.ipv6": "nat66"}
    after = addresses(plan_of(load("nat-pair", text)))
    assert {k: [each for each in v if ":" not in each] for k, v in after.items()} == before


def test_ipv6_alone_leaves_no_ipv4_below_the_overlay() -> None:
    plan = plan_of(load("v6-only"))
    below = addresses(plan)
    assert below.pop("internet") == ["192.0.2.1/32", "2001:db8:192::1/128"]
    assert all(":" in address for rows in below.values() for address in rows)
    assert plan.underlay["node-a"] == "2001:db8:a::10"
    assert plan.machine("node-a").routes == (Route("default", "eth0", via="fe80::1"),)
    assert ("100.64.2.20", "node-b") in plan.machine("node-a").hosts


def test_names_have_all_addresses_the_newer_family_first() -> None:
    names = plan_of(loads(GOOD + "host.pc.on = 'home-a'", "x.toml")).machine("node-a").hosts
    assert [address for address, name in names if name == "nyc.derp.example"] == [
        "2001:db8:198::10",
        "198.51.100.10",
    ]
    assert [address for address, name in names if name == "pc"] == [
        "2001:db8:a::11",
        "192.168.1.11",
    ]


def test_behind_nat64_what_has_ipv4_alone_is_shown_through_it() -> None:
    plan = plan_of(load("nat64"))

    assert ("2001:db8:64::c633:640a", "nyc.derp.example") in plan.machine("phone").hosts
    assert ("198.51.100.10", "nyc.derp.example") in plan.machine("node-b").hosts
    assert ("2001:db8:203::10", "carrier") in plan.machine("phone").hosts
    assert Interface("nat64", kind="tun") in plan.machine("carrier").interfaces
    assert Route("2001:db8:64::/96", "nat64") in plan.machine("carrier").routes
    [tayga] = [daemon for daemon in plan.daemons if daemon.runs == "tayga"]
    assert tayga.host == "carrier"
    assert tayga.settings["hosts"] == {"2001:db8:1:1::10": "192.168.255.10"}


def test_a_prefix_below_another_router_is_routed_from_above() -> None:
    text = """
        router.isp = { nat = "open", ipv6 = "open" }
        router.home = { nat = "symmetric", ipv6 = "firewall", upstream = "isp" }
        router.cell = { nat = "symmetric", ipv6 = "nat66", upstream = "isp" }
        host.pc.on = "home"
    """
    plan = plan_of(loads(text, "x.toml"))
    below = addresses(plan)
    assert below["home"][1::2] == ["2001:db8:1:1::10/64", "2001:db8:1:2::1/64"]
    assert below["cell"][1::2] == ["2001:db8:1:1::11/64", "fd00:1::1/64"]
    assert Route("2001:db8:1:2::/64", "isp", via="2001:db8:203::10", onlink=True) in (
        plan.machine("internet").routes
    )
    assert Route("2001:db8:1:2::/64", "lan0", via="2001:db8:1:1::10") in plan.machine("isp").routes
    assert not any("fd00" in route.to for machine in plan.machines for route in machine.routes)


def test_a_host_has_ipv6_on_those_uplinks_that_have_it() -> None:
    text = """
        router.home = { nat = "symmetric" }
        router.cell = { nat = "symmetric", ipv6 = "firewall" }
        host.phone.on = ["home", "cell"]
    """
    phone = plan_of(loads(text, "x.toml")).machine("phone")
    assert phone.interfaces == (
        Interface("eth0", ("192.168.1.10/24",)),
        Interface("eth1", ("192.168.2.10/24", "2001:db8:1:1::10/64", "fe80::10/64")),
    )
    assert phone.routes[1:] == (
        Route("default", "eth1", via="192.168.2.1", metric=200),
        Route("default", "eth1", via="fe80::1", metric=200),
    )


def addresses(plan: Plan) -> dict[str, list[str]]:
    """What each machine has, less link-local addresses."""
    return {
        machine.name: [
            each
            for port in machine.interfaces
            for each in port.addresses
            if not each.startswith("fe80")
        ]
        for machine in plan.machines
    }


def link_local(plan: Plan, machine: str, interface: str) -> str:
    [port] = [each for each in plan.machine(machine).interfaces if each.name == interface]
    [address] = [each for each in port.addresses if each.startswith("fe80")]
    return address


def problem_of(text: str) -> str:
    with pytest.raises(TopologyError) as caught:
        loads(text, "x.toml")
    return str(caught.value)
