"""Address realms: which networks must not overlap, and which may.

A *realm* is where an address means one machine: the internet, or the inside of one NAT with all the
LANs that are routed there. Two homes may use the same 192.168.1.0/24, for they are two realms. What
may not be: an overlap within a realm, or of a NAT's inside with the realm just outside or with the
internet, for it would hide machines there from those within.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import pairwise

from lab.model.addresses import Addresses, fixed_addresses, inside
from lab.model.blocks import NAT64_POOL
from lab.model.errors import TopologyError
from lab.model.family import Family
from lab.model.network import Address, Network, Topology

Realm = str | None  # the NAT's router; None: the internet


@dataclass(frozen=True, slots=True)
class _Network:
    network: Network
    name: str  # for people
    key: str = ""  # where the text gives it, if it does

    @property
    def machine(self) -> str:
        return self.key.split(".")[1] if self.key else ""

    def __lt__(self, other: _Network) -> bool:
        return self._place < other._place

    @property
    def _place(self) -> tuple[int, int]:
        return int(self.network.network_address), self.network.prefixlen


def realm_of_lan(family: Family, router: str) -> Realm:
    """The first translation from there upwards."""
    way = family.topology.way_up(router)
    return next((each.name for each in way if not family.is_routed(each)), None)


def check_addresses(family: Family) -> None:
    """The addresses that the text gives: in the right LAN, and each only once."""
    topology = family.topology
    lans = {router.name: family.lan(router) for router in family.routers}
    owners: dict[tuple[str | None, Address], str] = {
        (None, family.blocks.own): "the internet itself"
    }
    for table, router, address in fixed_addresses(family):
        key = f"{table}.addresses"
        if router is not None:
            _check_in_lan(family, key, address, router, lans[router])
        if (owner := owners.get((router, address))) is not None:
            raise TopologyError(topology.file, key, f"{address} is taken by {owner}")
        owners[router, address] = table.partition(".")[2]
    one_to_one = [each for each in family.routers if each.nat.mapping == "one-to-one"]
    for each in one_to_one if family.version == 4 else ():
        count, given = inside(family, each.name), family.given(each)
        if given and len(given) < count:
            problem = f"a one-to-one NAT needs an address for each machine inside: {count}"
            key, hint = f"router.{each.name}.addresses", f"give it {count}, or leave them out"
            raise TopologyError(topology.file, key, problem, hint)


def _check_in_lan(
    family: Family, key: str, address: Address, router: str, lan: Network | None
) -> None:
    topology = family.topology
    if lan is None:
        hint = f"give {router} a {family.lan_key}"
        raise TopologyError(topology.file, key, f"{address} is in no lan that is given", hint)
    if address not in lan or address in (lan.network_address, lan.broadcast_address):
        raise TopologyError(topology.file, key, f"{address} is not in {lan}, the lan of {router}")
    if address == lan[1]:
        raise TopologyError(topology.file, key, f"{address} is {router}'s own address in its lan")


def check_networks(addresses: Addresses) -> None:
    family, topology = addresses.family, addresses.family.topology
    realms = defaultdict[Realm, list[_Network]](list)
    for block in family.blocks.internet:
        realms[None].append(_Network(block, f"{block} of the internet"))
    for table, above, address in fixed_addresses(family):
        if above is None and not any(address in block for block in family.blocks.internet):
            owner = table.partition(".")[2]
            name = f"{address}, an address of {owner}"
            realms[None].append(_Network(ip_network(address), name, f"{table}.addresses"))
    for router in family.routers:
        lan = addresses.lans[router.name]
        key = f"router.{router.name}.{family.lan_key}"
        realm = realms[realm_of_lan(family, router.name)]
        realm.append(_Network(lan, f"{lan}, the lan of {router.name}", key))
        if router.nat64 and family.version == 4:
            name = f"{NAT64_POOL}, the NAT64's of {router.name}"
            realm.append(_Network(NAT64_POOL, name))
        if (outside := addresses.outside.get(router.name)) is not None:
            name = f"{outside}, which NPTv6 shows for {router.name}"
            realms[_realm_above(family, router.upstream)].append(_Network(outside, name))
    for networks in realms.values():
        _check_disjoint(topology, networks)
    for router in family.routers:
        if not family.is_routed(router):
            for further_out in dict.fromkeys((_realm_above(family, router.upstream), None)):
                _check_hides_nothing(topology, realms[router.name], realms[further_out])


def _realm_above(family: Family, upstream: str | None) -> Realm:
    return realm_of_lan(family, upstream) if upstream else None


def _check_disjoint(topology: Topology, networks: list[_Network]) -> None:
    """Sorted, a network that overlaps any follows one that it overlaps."""
    order = sorted(networks)
    for first, second in pairwise(order):
        if first.network.overlaps(second.network):
            _clash(topology, first, second)


def _check_hides_nothing(
    topology: Topology, within: list[_Network], outside: list[_Network]
) -> None:
    for inner in within:
        for outer in outside:
            if inner.network.overlaps(outer.network):
                _clash(topology, outer, inner)


def _clash(topology: Topology, one: _Network, other: _Network) -> None:
    """The blame goes to what the text gives, and to the later one when it gives both."""
    order = ["", *topology.names]
    first, second = sorted((one, other), key=lambda each: order.index(each.machine))
    raise TopologyError(topology.file, second.key, f"{second.network} overlaps {first.name}")
