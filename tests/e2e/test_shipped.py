"""Every topology that is shipped: it comes up, is looked at from all sides, and goes down."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import product
from subprocess import PIPE
from typing import Any

import pytest

from lab.judge.judged import judge_all
from lab.model.topology import known
from lab.pytest_plugin import Net, StartLab
from tests.lab.traces import traces_of

AT_ONCE = 4  # routers that are measured side by side
OUTSIDE = "internet"  # where every public address is reached from
PING_ALL = 'for to; do ping -nq -c1 -W1 "$to" & done; wait'
LOOK = 'for machine; do ip -n "$machine" -j addr; ip -n "$machine" -j neigh; done'
NO_MAC = "00:00:00:00:00:00"  # what loopback has
HEARD = re.compile(r"--- (\S+) ping statistics ---\n1 packets transmitted, 1 received")
# What a node says while nothing is wrong. All daemons start at once: it may knock before its relay is open.
ORDINARY = re.compile(
    r"node: (ready as|WireGuard's keys are logged|our endpoints:|netcheck: UDP|relay \w+: connected"
    r"|relay \w+: lost \(\S+ port 443: connection refused\)"
    r"|port mapping: [0-9]|[\w-]+: (relay|direct|peer-relay) via )"
)
TROUBLE = re.compile(r"\b(warn|warning|err|error|fail|failed|fatal|panic|traceback)\b", re.I)

# One lab for all tests of a topology.
TOPOLOGIES = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name, _ in known()]
each_topology = pytest.mark.parametrize("net", TOPOLOGIES, indirect=True)


@dataclass(frozen=True)
class Machine:
    name: str
    macs: frozenset[str]
    addresses: tuple[str, ...]
    neighbours: frozenset[tuple[str, str]]  # address and MAC, as it knows them

    @property
    def pairs(self) -> Iterator[tuple[str, str]]:
        """Whatever of it a neighbour may know: it answers ARP for all its addresses on any link."""
        return product(self.addresses, self.macs)


@pytest.fixture(scope="module")
def net(request: pytest.FixtureRequest, module_lab: StartLab) -> Iterator[Net]:
    net = module_lab(request.param)
    traces = traces_of(net.lab.folder)
    yield net
    net.lab.down()
    assert traces.left() == {}


@pytest.mark.scenario(97)
@each_topology
def test_stun_shows_each_node_at_its_gateway_s_address(net: Net) -> None:
    topology, underlay, addresses = net.lab.topology(), net.lab.plan().underlay, own(net)
    for host in (host for host in topology.hosts if host.runs == "node"):
        ways = topology.way_up(host.on[0]) if host.on else []
        blocked = any(not router.nat.udp for router in ways)
        seen = net.wait_for_event(host.name, "netcheck", udp=not blocked)  # its relay may be late
        if blocked:
            assert (seen["ipv4"], seen["ipv6"]) == (None, None)
            continue
        assert seen["ipv4"] or seen["ipv6"]
        if seen["ipv4"]:
            gateway = ways[-1].name if ways else host.name
            assert seen["ipv4"].rpartition(":")[0] == underlay[gateway]
        if seen["ipv6"]:  # no shipped router translates it
            assert seen["ipv6"].rpartition(":")[0].strip("[]") in addresses[host.name]


@pytest.mark.scenario(99)
@each_topology
def test_whoever_is_private_is_not_reached_from_outside_and_whoever_is_public_is(net: Net) -> None:
    """By IPv4: IPv6's firewalls let echo requests in, as RFC 6092 has it."""
    addresses, hosts = own(net), net.lab.topology().hosts
    public = {host.name: addresses[host.name][0] for host in hosts if host.ipv4 and not host.on}
    private = {host.name: addresses[host.name][0] for host in hosts if host.ipv4 and host.on}
    private = {host: address for host, address in private.items() if ":" not in address}

    assert heard(net, OUTSIDE, [*private.values(), *public.values()]) == set(public.values())
    for host, address in private.items():  # the control: it is there, and answers who is near
        assert heard(net, net.lab.topology().host(host).on[0], [address]) == {address}


@pytest.mark.scenario(100)
@each_topology
def test_no_address_is_there_twice_and_everybody_knows_whose_is_whose(net: Net) -> None:
    machines = look(net)
    assert there_twice(machines) == set()
    assert mistaken(machines) == set()
    assert any(machine.neighbours for machine in machines)


@pytest.mark.scenario(100)
def test_an_address_that_is_there_twice_would_be_seen() -> None:
    """The control: machines that are not, of one address, of one MAC, and one that takes another for it."""
    one = Machine("one", frozenset({"02::1"}), ("10.0.0.1", "192.168.1.1", "fe80::1"), frozenset())
    two = replace(one, macs=frozenset({"02::2"}))
    three = replace(one, addresses=("10.0.0.3",), neighbours=frozenset({("10.0.0.1", "02::3")}))

    assert there_twice([one, two]) == {"10.0.0.1"}
    assert there_twice([one, three]) == {"02::1"}
    assert mistaken([one, three]) == {("10.0.0.1", "02::3")}


@pytest.mark.scenario(98)
@each_topology
def test_each_router_is_what_it_is_called(net: Net) -> None:
    routers = net.lab.topology().routers

    with ThreadPoolExecutor(AT_ONCE) as pool:
        both = list(pool.map(lambda router: judge_all(net.lab, router), routers))
    judged = [each for families in both for each in families]

    assert [each.router for each in judged if each.measured is None] == []
    assert {each.router: each.disagreements for each in judged if each.disagreements} == {}


@pytest.mark.scenario(101)
@each_topology
def test_the_daemons_logs_tell_of_nothing_extraordinary(net: Net) -> None:
    nodes = [host for host in net.lab.topology().hosts if host.runs == "node"]
    for host in nodes:
        heard(net, host.name, [each.overlay[0] for each in nodes if each is not host])

    names = {host.name for host in nodes}
    said = list(net.lab.logs())
    assert {host for host, _line in said} >= names
    assert [line for host, line in said if host in names and not ORDINARY.match(line)] == []
    assert [line for host, line in said if host not in names and TROUBLE.search(line)] == []


def test_trouble_would_be_seen() -> None:
    assert ORDINARY.match("node: relay nyc: lost (198.51.100.10 port 443: connection refused)")
    assert not ORDINARY.match("node: relay nyc: lost (it closed)")
    assert not ORDINARY.match("node: port mapping: none (the router refused)")
    assert TROUBLE.search("miniupnpd[10]: sendto(udp): Operation not permitted, error")
    assert not TROUBLE.search("DEBUG: (wg0) Device started, terror avoided")


# --- what was seen


def look(net: Net) -> list[Machine]:
    names = [machine.name for machine in net.lab.plan().machines]
    with net.lab.popen(None, ["sh", "-c", LOOK, "sh", *names], stdout=PIPE, text=True) as looking:
        lines, _ = looking.communicate(timeout=120)
    told = map(json.loads, lines.splitlines())
    return [machine(name, next(told), next(told)) for name in names]


def machine(name: str, links: list[dict[str, Any]], neighbours: list[dict[str, Any]]) -> Machine:
    """But for its tunnels."""
    wired = [link for link in links if link["link_type"] in ("ether", "loopback")]
    return Machine(
        name,
        frozenset(link["address"] for link in wired) - {NO_MAC},  # a bridge has its first port's
        tuple(
            one["local"] for link in wired for one in link["addr_info"] if one["scope"] != "host"
        ),
        frozenset((one["dst"], one["lladdr"]) for one in neighbours if "lladdr" in one),
    )


def there_twice(machines: list[Machine]) -> set[str]:
    """MACs and addresses of more than one; but two homes may have the same LAN."""
    addresses = [one for machine in machines for one in machine.addresses]
    once = [one for one in addresses if not one.startswith(("192.168.", "fe80:"))]
    once += [mac for machine in machines for mac in machine.macs]
    return {one for one, count in Counter(once).items() if count > 1}


def mistaken(machines: list[Machine]) -> set[tuple[str, str]]:
    """Whom a neighbour takes for somebody else."""
    theirs = {pair for machine in machines for pair in machine.pairs}
    return {pair for machine in machines for pair in machine.neighbours} - theirs


def own(net: Net) -> dict[str, list[str]]:
    """Each machine's addresses that are for others than its neighbours."""
    return {
        each.name: [one for one in each.addresses if not one.startswith("fe80:")]
        for each in look(net)
    }


def heard(net: Net, machine: str, addresses: list[str]) -> set[str]:
    """Who of them answers."""
    return set(HEARD.findall(net.run(machine, "sh", "-c", PING_ALL, "sh", *addresses).stdout))
