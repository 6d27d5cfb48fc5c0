"""A topology laid out: its machines, the wires between them, and the daemons on them.

    host eth0 ----- (bridge lan0) router (wan0) ----- home-a [internet] nyc ----- eth0 relay

Machines are in `lab.model.machines`. A wire is named after the machine whose uplink it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from lab.model import nat64
from lab.model.addresses import Addresses, assign
from lab.model.blocks import through_nat64
from lab.model.family import families
from lab.model.link import PERFECT
from lab.model.machines import Ground, machines_of, plugged_into
from lab.model.names import port_name
from lab.model.network import INTERNET, Host, Topology
from lab.model.overlay import OVERLAY4
from lab.model.plan import JSON, DaemonPlan, Plan, Wire

FIRST_REGION = 900  # DERP's own maps leave 900 to 999 to private regions
PLAIN_WIREGUARD = ("wireguard-go", "lab.world.daemons.wireguard_go:WireguardGo")  # know no relay
LOCALHOST = (("127.0.0.1", "localhost"), ("::1", "localhost"))


def plan_of(topology: Topology) -> Plan:
    sides = tuple(assign(family) for family in families(topology))
    names = tuple(_names(topology, sides))
    ground = Ground(
        topology,
        sides,
        hosts_file=(*LOCALHOST, *names),
        hosts_file64=(*LOCALHOST, *_names64(names)),
        plugged=plugged_into(topology),
    )
    return Plan(
        topology=topology.name,
        title=topology.title,
        drawing=topology.drawing,
        machines=tuple(machines_of(ground)),
        wires=tuple(_wires(topology)),
        daemons=tuple(_daemons(topology, sides)),
        underlay=dict(_underlay(topology, sides)),
    )


def _underlay(topology: Topology, sides: tuple[Addresses, ...]) -> Iterator[tuple[str, str]]:
    """A machine's main address: IPv4's where it has one."""
    yield INTERNET, str(sides[0].family.blocks.own)
    for name in topology.names:
        yield name, str(next(each for side in sides if (each := side.main(name))))


def _names(topology: Topology, sides: tuple[Addresses, ...]) -> Iterator[tuple[str, str]]:
    """Lines of a hosts file. A machine's name means its overlay address where it has one."""
    best_first = sides[::-1]  # who asks for an address tries IPv6 first (RFC 6724 §2.1)
    for relay in topology.relays:
        for side in best_first:
            if (address := side.main(relay.name)) is not None:
                yield str(address), relay.hostname
    yield from ((str(side.family.blocks.own), INTERNET) for side in best_first)
    overlay = {host.name: host.overlay for host in topology.hosts if host.overlay}
    for name in topology.names:
        known = (str(own) for side in best_first if (own := side.main(name)) is not None)
        yield from ((each, name) for each in overlay.get(name) or known)


def _names64(names: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, str]]:
    """What a DNS64 would answer (RFC 6147): what has no IPv6 address is shown through the NAT64."""
    have_ipv6 = {name for address, name in names if ":" in address}
    for address, name in names:
        underlay = ip_address(address)
        if isinstance(underlay, IPv4Address) and underlay not in OVERLAY4:
            if name in have_ipv6:
                continue
            yield str(through_nat64(underlay)), name
        else:
            yield address, name


def _wires(topology: Topology) -> Iterator[Wire]:
    for relay in topology.relays:
        yield _wire(topology, relay.name, (relay.name, "eth0"), None)
    for router in topology.routers:
        yield _wire(topology, router.name, (router.name, "wan0"), router.upstream)
    for host in topology.hosts:
        for n, above in enumerate(host.on or (None,)):
            yield _wire(topology, host.uplinks[n], (host.name, f"eth{n}"), above)


def _wire(topology: Topology, name: str, end: tuple[str, str], above: str | None) -> Wire:
    other = (above or INTERNET, port_name(end[0]))
    return Wire(name, a=end, b=other, quality=topology.links.get(name, PERFECT))


def _daemons(topology: Topology, sides: tuple[Addresses, ...]) -> Iterator[DaemonPlan]:
    regions = {relay.name: FIRST_REGION + n for n, relay in enumerate(topology.relays)}
    for relay in topology.relays:
        settings: dict[str, JSON] = {
            "hostname": relay.hostname,
            "region_id": regions[relay.name],
            "region_code": relay.name,
        }
        if relay.args:
            settings["args"] = list(relay.args)
        yield DaemonPlan(relay.name, "derper", settings)
    for router in topology.routers:
        if router.port_mapping:
            lan = str(sides[0].lans[router.name])
            yield DaemonPlan(
                router.name, "miniupnpd", {"protocols": list(router.port_mapping), "lan": lan}
            )
        if router.nat64:
            yield DaemonPlan(router.name, "tayga", nat64.settings(topology, sides[-1], router))
    for host in topology.hosts:
        if host.runs is not None:
            yield DaemonPlan(host.name, host.runs, _settings(topology, host, regions))


def _settings(topology: Topology, host: Host, regions: dict[str, int]) -> dict[str, JSON]:
    settings: dict[str, JSON] = {"overlay": list(host.overlay), "listen_port": host.listen_port}
    if regions and host.runs not in PLAIN_WIREGUARD:
        settings["region"] = regions[host.home or next(iter(regions))]
    if host.peer_relay:
        settings["peer_relay"] = True
    if host.argv:
        settings["argv"] = list(host.argv)
        if any("here" in word for word in host.argv):
            settings["here"] = str(Path(topology.file).absolute().parent)
    if host.ready:
        settings["ready"] = host.ready
    if host.args:
        settings["args"] = list(host.args)
    return settings
