"""Who has which address: what the topology fixes, and the next free one for everybody else.

The order is that of the file, so that adding a machine at its end moves nobody's address.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from lab.model import blocks
from lab.model.errors import TopologyError
from lab.model.network import Host, Router, Topology


@dataclass(frozen=True, slots=True)
class Addresses:
    """By machine; a host has one tuple for each of its uplinks."""

    lans: dict[str, IPv4Network] = field(default_factory=dict)
    routers: dict[str, tuple[IPv4Address, ...]] = field(default_factory=dict)
    relays: dict[str, IPv4Address] = field(default_factory=dict)
    hosts: dict[str, tuple[tuple[IPv4Address, ...], ...]] = field(default_factory=dict)

    def gateway(self, router: str) -> IPv4Address:
        return self.lans[router][1]


def assign(topology: Topology) -> Addresses:
    addresses = Addresses(lans=_lans(topology))
    spaces = _Spaces(topology, addresses)
    for relay in topology.relays:
        key = f"relay.{relay.name}"
        addresses.relays[relay.name] = relay.address or spaces.free(blocks.RELAYS, key)
    for router in topology.routers:
        addresses.routers[router.name] = router.addresses or spaces.free_uplink(router)
    for host in topology.hosts:
        addresses.hosts[host.name] = spaces.of_host(host)
    return addresses


def fixed_addresses(topology: Topology) -> Iterator[tuple[str, str | None, IPv4Address]]:
    """Each address that the text gives: the key's table, the router whose LAN it is in, itself."""
    for relay in topology.relays:
        if relay.address:
            yield f"relay.{relay.name}", None, relay.address
    for router in topology.routers:
        for address in router.addresses:
            yield f"router.{router.name}", router.upstream, address
    for host in topology.hosts:
        for n, address in enumerate(host.addresses):
            yield f"host.{host.name}", host.on[n] if host.on else None, address


def inside(topology: Topology, router: str) -> int:
    """How many machines have an address in a router's LAN."""
    hosts = sum(router in host.on for host in topology.hosts)
    return hosts + sum(below.upstream == router for below in topology.routers)


def _lans(topology: Topology) -> dict[str, IPv4Network]:
    given = [router.lan for router in topology.routers if router.lan]
    given += [IPv4Network(address) for _, _, address in fixed_addresses(topology)]
    carriers = {router.upstream for router in topology.routers}
    homes, carried, routed = blocks.home_lans(), blocks.carrier_lans(), blocks.routed_lans()
    lans: dict[str, IPv4Network] = {}
    for router in topology.routers:
        source = carried if router.name in carriers else homes
        if all(each.is_routed for each in topology.way_up(router.name)):
            source = routed
        free = (lan for lan in source if not any(lan.overlaps(other) for other in given))
        lan = router.lan or next(free, None)
        if lan is None:
            key = f"router.{router.name}.lan"
            raise TopologyError(topology.file, key, "no block is left for it", "give it one")
        lans[router.name] = lan
    return lans


class _Spaces:
    """The addresses still free, on the internet and in each LAN."""

    def __init__(self, topology: Topology, addresses: Addresses) -> None:
        self.topology = topology
        self.lans = addresses.lans
        self.taken = {(router, address) for _, router, address in fixed_addresses(topology)}
        self.taken.add((None, blocks.INTERNET_OWN))
        self.sources: dict[IPv4Network | str, Iterator[IPv4Address]] = {
            block: blocks.on_internet(block)
            for block in (blocks.RELAYS, blocks.ROUTERS, blocks.HOSTS, blocks.MAPPING_ROUTERS)
        }
        for router, lan in addresses.lans.items():
            self.sources[router] = blocks.in_lan(lan)

    def free(self, space: IPv4Network | str, key: str) -> IPv4Address:
        """`space` is a block of the internet, or the router whose LAN it is."""
        router = space if isinstance(space, str) else None
        for address in self.sources[space]:
            if (router, address) not in self.taken:
                self.taken.add((router, address))
                return address
        where = f"{self.lans[router]} of {router}" if router else f"{space}"
        raise TopologyError(self.topology.file, key, f"no address is left in {where}")

    def free_uplink(self, router: Router) -> tuple[IPv4Address, ...]:
        """One, but a one-to-one NAT needs one for each machine inside."""
        count = 1
        if router.nat.mapping == "one-to-one":
            count = max(1, inside(self.topology, router.name))
        outside = blocks.MAPPING_ROUTERS if router.port_mapping else blocks.ROUTERS
        space = router.upstream or outside
        return tuple(self.free(space, f"router.{router.name}") for _ in range(count))

    def of_host(self, host: Host) -> tuple[tuple[IPv4Address, ...], ...]:
        key = f"host.{host.name}"
        if not host.on:
            return (host.addresses or (self.free(blocks.HOSTS, key),),)
        if host.addresses:
            return tuple((address,) for address in host.addresses)
        return tuple((self.free(router, key),) for router in host.on)
