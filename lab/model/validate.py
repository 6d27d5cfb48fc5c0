"""What must hold across the tables of a topology. The first thing that does not is raised."""

from __future__ import annotations

from itertools import combinations

from lab.model.addresses import Addresses, assign
from lab.model.dual import check_families
from lab.model.errors import TopologyError, nearest
from lab.model.family import Family, families
from lab.model.network import Host, Router, Topology
from lab.model.realms import check_addresses, check_networks


def validate(topology: Topology) -> None:
    _check_names(topology)
    _check_hostnames(topology)
    for router in topology.routers:
        _check_upstream(topology, router)
    for host in topology.hosts:
        _check_uplinks(topology, host)
        _check_relay(topology, host)
    _check_overlay(topology)
    _check_links(topology)
    check_families(topology)
    for family in families(topology):
        for host in family.hosts:
            _check_count(family, host)
        check_addresses(family)
        addresses = assign(family)
        check_networks(addresses)
        for host in family.hosts:
            _check_lans(family, host, addresses)


def _check_names(topology: Topology) -> None:
    if not topology.names:
        raise TopologyError(topology.file, "", "has no machine", "begin with [host.NAME]")
    seen: dict[str, str] = {}
    kinds = ("relay", topology.relays), ("router", topology.routers), ("host", topology.hosts)
    for kind, machines in kinds:
        for machine in machines:
            if machine.name in seen:
                problem = f"there is a {seen[machine.name]} of that name"
                raise TopologyError(topology.file, f"{kind}.{machine.name}", problem)
            seen[machine.name] = kind


def _check_hostnames(topology: Topology) -> None:
    owners = dict.fromkeys(topology.names, "a machine's name")
    for relay in topology.relays:
        if relay.hostname in owners:
            key = f"relay.{relay.name}.hostname"
            problem = f'"{relay.hostname}" is {owners[relay.hostname]}'
            raise TopologyError(topology.file, key, problem)
        owners[relay.hostname] = f"the hostname of {relay.name}"


def _check_upstream(topology: Topology, router: Router) -> None:
    if router.upstream is None:
        return
    key = f"router.{router.name}.upstream"
    _check_router(topology, key, router.upstream)
    way = [router.name]
    while (above := topology.router(way[-1]).upstream) is not None:
        _check_router(topology, f"router.{way[-1]}.upstream", above)
        if above in way:
            loop = " -> ".join([*way[way.index(above) :], above])
            raise TopologyError(topology.file, key, f"a loop of routers: {loop}")
        way.append(above)


def _check_router(topology: Topology, key: str, name: str) -> None:
    routers = [router.name for router in topology.routers]
    if name in routers:
        return
    if name in topology.names:
        raise TopologyError(topology.file, key, f'"{name}" is not a router')
    raise TopologyError(topology.file, key, f'there is no router "{name}"', nearest(name, routers))


def _check_uplinks(topology: Topology, host: Host) -> None:
    for router in host.on:
        _check_router(topology, f"host.{host.name}.on", router)


def _check_count(family: Family, host: Host) -> None:
    given, uplinks = family.given(host), family.uplinks(host)
    if host.on and len(given) not in (0, len(uplinks)):
        problem = f"{_count(len(given), 'address')} for {_count(len(uplinks), 'uplink')}"
        key = f"host.{host.name}.addresses"
        hint = "give one for each, in the order of `on`"
        raise TopologyError(family.topology.file, key, problem, hint)


def _check_lans(family: Family, host: Host, addresses: Addresses) -> None:
    """A host in two LANs with one subnet would not know which is meant."""
    for one, other in combinations(family.uplinks(host), 2):
        lan = addresses.lans[one]
        if lan.overlaps(addresses.lans[other]):
            problem = f"{one} and {other} have one lan, {lan}"
            raise TopologyError(family.topology.file, f"host.{host.name}.on", problem)


def _check_relay(topology: Topology, host: Host) -> None:
    relays = [relay.name for relay in topology.relays]
    if host.home is not None and host.home not in relays:
        key, problem = f"host.{host.name}.home", f'there is no relay "{host.home}"'
        raise TopologyError(topology.file, key, problem, nearest(host.home, relays))
    if host.runs == "node" and not relays:
        key, problem = f"host.{host.name}.runs", "a node needs a relay, and there is none"
        raise TopologyError(topology.file, key, problem, "add [relay.nyc]")


def _check_overlay(topology: Topology) -> None:
    owners: dict[str, str] = {}
    for host in topology.hosts:
        for address in host.overlay:
            if address in owners:
                key = f"host.{host.name}.overlay"
                problem = f"{address} is the overlay address of {owners[address]} already"
                raise TopologyError(topology.file, key, problem)
            owners[address] = host.name


def _check_links(topology: Topology) -> None:
    wires = [
        *(relay.name for relay in topology.relays),
        *(router.name for router in topology.routers),
        *(uplink for host in topology.hosts for uplink in host.uplinks),
    ]
    for name in topology.links:
        if name not in wires:
            problem = "a link has the name of the machine whose uplink it is, and there is no"
            key = f"link.{name}"
            raise TopologyError(topology.file, key, f'{problem} "{name}"', nearest(name, wires))


def _count(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number} {noun if number == 1 else plural}"
