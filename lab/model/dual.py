"""What must hold between the two families: nobody without an address, nobody cut off from its relay."""

from __future__ import annotations

from lab.model import nat64
from lab.model.errors import TopologyError
from lab.model.family import Family, families
from lab.model.network import Host, Router, Topology


def check_families(topology: Topology) -> None:
    both = {family.version: family for family in families(topology)}
    for family in both.values():
        for router in family.routers:
            _check_upstream(family, router)
        _check_given(family)
    if (ipv6 := both.get(6)) is not None:
        for router in ipv6.routers:
            _check_below_nptv6(ipv6, router)
            _check_nat64_use(topology, router)
        for host in topology.hosts:
            _check_host(topology, host, both[4], ipv6)


def _check_upstream(family: Family, router: Router) -> None:
    """Each way up leads to the internet in one family."""
    above = router.upstream
    if above is None or family.topology.router(above) in family.routers:
        return
    problem = f"{router.name} has {family.name}, and {above} above it has none"
    raise TopologyError(family.topology.file, f"router.{router.name}.upstream", problem)


def _check_given(family: Family) -> None:
    """An address of a family that its machine does not have."""
    topology = family.topology
    tables = (
        ("relay", topology.relays, family.relays),
        ("router", topology.routers, family.routers),
        ("host", topology.hosts, family.hosts),
    )
    for kind, all_of_them, speaking in tables:
        for machine in all_of_them:
            given = family.given(machine)
            if given and machine not in speaking:
                key = f"{kind}.{machine.name}.addresses"
                problem = f"{given[0]} does nothing: {machine.name} has no {family.name}"
                raise TopologyError(topology.file, key, problem)


def _check_below_nptv6(family: Family, router: Router) -> None:
    """NPTv6 knows one prefix: another one from below it would leave as it is, and never come back."""
    for above in family.topology.way_up(router.name)[1:]:
        if above.ipv6 == "nptv6" and router.ipv6 != "nat66":
            key = f"router.{router.name}.ipv6"
            problem = f"its prefix is not the one that {above.name} translates"
            hint = f'only "nat66" works below the "nptv6" of {above.name}'
            raise TopologyError(family.topology.file, key, problem, hint)
        if not family.is_routed(above):
            return


def _check_nat64_use(topology: Topology, router: Router) -> None:
    if router.nat64 and not any(
        nat64.router_of(topology, each) is router for each in topology.hosts
    ):
        key, hint = f"router.{router.name}.nat64", "say ipv4 = false on a host inside"
        problem = "does nothing: no host without IPv4 is behind it"
        raise TopologyError(topology.file, key, problem, hint)


def _check_host(topology: Topology, host: Host, ipv4: Family, ipv6: Family) -> None:
    above = " and ".join(host.on)
    key = f"host.{host.name}"
    if host.ipv6 and host not in ipv6.hosts:
        problem = f"{above} has no IPv6"
        raise TopologyError(topology.file, f"{key}.ipv6", problem, 'give it ipv6 = "firewall"')
    if host not in ipv4.hosts and host not in ipv6.hosts:
        none = "IPv6" if not host.ipv4 else "IPv4"
        problem = f"is left without an address: {above} has no {none}"
        raise TopologyError(topology.file, key, problem)
    if host.runs == "node":
        _check_reaches_relay(topology, host, ipv4, ipv6)


def _check_reaches_relay(topology: Topology, host: Host, ipv4: Family, ipv6: Family) -> None:
    wanted = [each for each in topology.relays if host.home in (None, each.name)]
    via_ipv4 = host in ipv4.hosts or nat64.router_of(topology, host) is not None
    reached = (
        (via_ipv4 and each in ipv4.relays) or (host in ipv6.hosts and each in ipv6.relays)
        for each in wanted
    )
    if not any(reached):
        has = "IPv4" if via_ipv4 else "IPv6"
        names = " and ".join(each.name for each in wanted)
        key = f"host.{host.name}.{'home' if host.home else 'runs'}"
        problem = f"reaches no relay: it has {has} only, and {names} none of it"
        hint = "" if via_ipv4 else "a router with nat64 = true would lead there"
        raise TopologyError(topology.file, key, problem, hint)
