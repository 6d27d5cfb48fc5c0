"""Who has which address: what the topology fixes, and the next free one for everybody else.

The order is that of the file, so that adding a machine at its end moves nobody's address.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network

from lab.model import blocks
from lab.model.errors import TopologyError
from lab.model.family import Family
from lab.model.network import Address, Host, Network, Router


@dataclass(frozen=True, slots=True)
class Addresses:
    """Of one family, by machine; a host has one tuple for each of its uplinks."""

    family: Family
    lans: dict[str, Network] = field(default_factory=dict)
    outside: dict[str, Network] = field(default_factory=dict)  # under which NPTv6 shows a LAN
    routers: dict[str, tuple[Address, ...]] = field(default_factory=dict)
    relays: dict[str, Address] = field(default_factory=dict)
    hosts: dict[str, tuple[tuple[Address, ...], ...]] = field(default_factory=dict)

    def gateway(self, router: str) -> Address:
        return self.lans[router][1]

    def main(self, machine: str) -> Address | None:
        """The one that a machine is known by, if it has any."""
        if machine in self.relays:
            return self.relays[machine]
        uplinks = self.hosts.get(machine) or (self.routers.get(machine, ()),)
        return next((address for uplink in uplinks for address in uplink), None)


def assign(family: Family) -> Addresses:
    addresses = Addresses(family, lans=_lans(family), outside=_outside(family))
    spaces = _Spaces(family, addresses)
    for relay in family.relays:
        key = f"relay.{relay.name}"
        given = family.given(relay)
        addresses.relays[relay.name] = given[0] if given else spaces.free_of("relays", key)
    for router in family.routers:
        addresses.routers[router.name] = family.given(router) or spaces.free_uplink(router)
    for host in family.hosts:
        addresses.hosts[host.name] = spaces.of_host(host)
    return addresses


def fixed_addresses(family: Family) -> Iterator[tuple[str, str | None, Address]]:
    """Each address that the text gives: the key's table, the router whose LAN it is in, itself."""
    for relay in family.relays:
        for address in family.given(relay):
            yield f"relay.{relay.name}", None, address
    for router in family.routers:
        for address in family.given(router):
            yield f"router.{router.name}", router.upstream, address
    for host in family.hosts:
        uplinks = family.uplinks(host)
        for n, address in enumerate(family.given(host)):
            yield f"host.{host.name}", uplinks[n] if host.on else None, address


def inside(family: Family, router: str) -> int:
    """How many machines it sees inside: in its LAN, and behind routers there that only route."""
    below = [each for each in family.routers if each.upstream == router]
    behind = sum(inside(family, each.name) for each in below if family.is_routed(each))
    return sum(router in host.on for host in family.hosts) + len(below) + behind


def is_routed_to(family: Family, router: Router) -> bool:
    """No translation between its LAN and the internet."""
    return all(family.is_routed(each) for each in family.topology.way_up(router.name))


def _lans(family: Family) -> dict[str, Network]:
    given = [lan for router in family.routers if (lan := family.lan(router))]
    given += [ip_network(address) for _, _, address in fixed_addresses(family)]
    carriers = {router.upstream for router in family.routers}
    homes, carried = family.blocks.home_lans(), family.blocks.carrier_lans()
    routed = family.blocks.routed_lans()
    if family.version == 6:
        carried = homes  # one block for both
    lans: dict[str, Network] = {}
    for router in family.routers:
        source = carried if router.name in carriers else homes
        if is_routed_to(family, router):
            source = routed
        free = (lan for lan in source if not any(lan.overlaps(other) for other in given))
        lan = family.lan(router) or next(free, None)
        if lan is None:
            key = f"router.{router.name}.{family.lan_key}"
            raise TopologyError(family.topology.file, key, "no block is left for it", "give it one")
        lans[router.name] = lan
    return lans


def _outside(family: Family) -> dict[str, Network]:
    routers = [each.name for each in family.routers if family.has_outside_prefix(each)]
    return dict(zip(routers, blocks.outside_prefixes(), strict=False))


class _Spaces:
    """The addresses still free, on the internet and in each LAN."""

    def __init__(self, family: Family, addresses: Addresses) -> None:
        self.family = family
        self.lans = addresses.lans
        self.taken = {(router, address) for _, router, address in fixed_addresses(family)}
        self.taken.add((None, family.blocks.own))
        on_internet = family.blocks.on_internet
        self.internet = {
            "relays": on_internet(family.blocks.relays),
            "routers": on_internet(family.blocks.routers),
            "hosts": on_internet(family.blocks.hosts),
            "routers that map ports": on_internet(family.blocks.mapping_routers),
        }
        self.inside = {router: family.blocks.in_lan(lan) for router, lan in addresses.lans.items()}

    def free_of(self, kind: str, key: str) -> Address:
        """On the internet."""
        return self._free(None, self.internet[kind], key, f"the internet's block for {kind}")

    def free_in(self, router: str, key: str) -> Address:
        return self._free(router, self.inside[router], key, f"{self.lans[router]} of {router}")

    def _free(self, router: str | None, source: Iterator[Address], key: str, where: str) -> Address:
        for address in source:
            if (router, address) not in self.taken:
                self.taken.add((router, address))
                return address
        raise TopologyError(self.family.topology.file, key, f"no address is left in {where}")

    def free_uplink(self, router: Router) -> tuple[Address, ...]:
        """One, but a one-to-one NAT needs one for each machine inside."""
        count = 1
        if self.family.version == 4 and router.nat.mapping == "one-to-one":
            count = max(1, inside(self.family, router.name))
        key = f"router.{router.name}"
        kind = "routers that map ports" if router.port_mapping else "routers"
        return tuple(
            self.free_in(router.upstream, key) if router.upstream else self.free_of(kind, key)
            for _ in range(count)
        )

    def of_host(self, host: Host) -> tuple[tuple[Address, ...], ...]:
        key, given = f"host.{host.name}", self.family.given(host)
        if not host.on:
            return (given or (self.free_of("hosts", key),),)
        uplinks = self.family.uplinks(host)
        fixed = dict(zip(uplinks, given, strict=False))
        return tuple(
            (fixed.get(router) or self.free_in(router, key),) if router in uplinks else ()
            for router in host.on
        )
