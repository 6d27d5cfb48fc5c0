"""A topology laid out: its machines, the wires between them, and the daemons on them.

    host eth0 ----- (bridge lan0) router (wan0) ----- home-a [internet] nyc ----- eth0 relay

Machines are in `lab.model.machines`. A wire is named after the machine whose uplink it is.
"""

from __future__ import annotations

from collections.abc import Iterator

from lab.model import blocks
from lab.model.addresses import Addresses, assign
from lab.model.link import PERFECT
from lab.model.machines import Ground, machines_of
from lab.model.names import port_name
from lab.model.network import INTERNET, Host, Topology
from lab.model.plan import JSON, DaemonPlan, Plan, Wire

FIRST_REGION = 900  # DERP's own maps leave 900 to 999 to private regions
LOCALHOST = (("127.0.0.1", "localhost"), ("::1", "localhost"))


def plan_of(topology: Topology) -> Plan:
    addresses = assign(topology)
    underlay = _underlay(addresses)
    ground = Ground(topology, addresses, tuple(_hosts_file(topology, underlay)))
    return Plan(
        topology=topology.name,
        title=topology.title,
        drawing=topology.drawing,
        machines=tuple(machines_of(ground)),
        wires=tuple(_wires(topology)),
        daemons=tuple(_daemons(topology, addresses, underlay)),
        underlay=underlay,
    )


def _underlay(addresses: Addresses) -> dict[str, str]:
    return {
        INTERNET: str(blocks.INTERNET_OWN),
        **{name: str(address) for name, address in addresses.relays.items()},
        **{name: str(uplink[0]) for name, uplink in addresses.routers.items()},
        **{name: str(uplinks[0][0]) for name, uplinks in addresses.hosts.items()},
    }


def _hosts_file(topology: Topology, underlay: dict[str, str]) -> Iterator[tuple[str, str]]:
    """A machine's name means its overlay address where it has one."""
    yield from LOCALHOST
    for relay in topology.relays:
        yield underlay[relay.name], relay.hostname
    overlay = {host.name: host.overlay for host in topology.hosts if host.overlay}
    for name, address in underlay.items():
        for each in overlay.get(name, (address,)):
            yield each, name


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


def _daemons(
    topology: Topology, addresses: Addresses, underlay: dict[str, str]
) -> Iterator[DaemonPlan]:
    regions = {relay.name: FIRST_REGION + n for n, relay in enumerate(topology.relays)}
    for relay in topology.relays:
        settings: dict[str, JSON] = {
            "hostname": relay.hostname,
            "address": underlay[relay.name],
            "region_id": regions[relay.name],
            "region_code": relay.name,
        }
        if relay.args:
            settings["args"] = list(relay.args)
        yield DaemonPlan(relay.name, "derper", settings)
    for router in topology.routers:
        if router.port_mapping:
            lan = str(addresses.lans[router.name])
            yield DaemonPlan(
                router.name, "miniupnpd", {"protocols": list(router.port_mapping), "lan": lan}
            )
    for host in topology.hosts:
        if host.runs is not None:
            yield DaemonPlan(host.name, host.runs, _settings(host, regions))


def _settings(host: Host, regions: dict[str, int]) -> dict[str, JSON]:
    settings: dict[str, JSON] = {"overlay": list(host.overlay), "listen_port": host.listen_port}
    if regions:
        settings["region"] = regions[host.home or next(iter(regions))]
    if host.argv:
        settings["argv"] = list(host.argv)
    if host.args:
        settings["args"] = list(host.args)
    return settings
