"""Address realms: which networks must not overlap, and which may.

A *realm* is where an address means one machine: the internet, or the inside of one NAT with all the
LANs that are routed there. Two homes may use the same 192.168.1.0/24, for they are two realms. What
may not be: an overlap within a realm, or of a NAT's inside with the realm just outside or with the
internet, for it would hide machines there from those within.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

from lab.model import blocks
from lab.model.addresses import Addresses, fixed_addresses, inside
from lab.model.errors import TopologyError
from lab.model.network import Topology

Realm = str | None  # the NAT's router; None: the internet


@dataclass(frozen=True, slots=True)
class _Network:
    network: IPv4Network
    name: str  # for people
    key: str = ""  # where the text gives it, if it does

    @property
    def machine(self) -> str:
        return self.key.split(".")[1] if self.key else ""

    def __lt__(self, other: _Network) -> bool:
        return self.network < other.network


def realm_of_lan(topology: Topology, router: str) -> Realm:
    """The first NAT from there upwards."""
    way = topology.way_up(router)
    return next((each.name for each in way if not each.is_routed), None)


def check_addresses(topology: Topology) -> None:
    """The addresses that the text gives: in the right LAN, and each only once."""
    lans = {router.name: router.lan for router in topology.routers}
    owners: dict[tuple[str | None, IPv4Address], str] = {
        (None, blocks.INTERNET_OWN): "the internet itself"
    }
    for table, router, address in fixed_addresses(topology):
        key = f"{table}.addresses"
        if router is not None:
            _check_in_lan(topology, key, address, router, lans[router])
        if (owner := owners.get((router, address))) is not None:
            raise TopologyError(topology.file, key, f"{address} is taken by {owner}")
        owners[router, address] = table.partition(".")[2]
    for each in topology.routers:
        count = inside(topology, each.name)
        if each.nat.mapping == "one-to-one" and each.addresses and len(each.addresses) < count:
            problem = f"a one-to-one NAT needs an address for each machine inside: {count}"
            raise TopologyError(topology.file, f"router.{each.name}.addresses", problem)


def _check_in_lan(
    topology: Topology, key: str, address: IPv4Address, router: str, lan: IPv4Network | None
) -> None:
    if lan is None:
        hint = f"give {router} a lan"
        raise TopologyError(topology.file, key, f"{address} is in no lan that is given", hint)
    if address not in lan or address in (lan.network_address, lan.broadcast_address):
        raise TopologyError(topology.file, key, f"{address} is not in {lan}, the lan of {router}")
    if address == lan[1]:
        raise TopologyError(topology.file, key, f"{address} is {router}'s own address in its lan")


def check_networks(topology: Topology, addresses: Addresses) -> None:
    realms = defaultdict[Realm, list[_Network]](list)
    for block in blocks.INTERNET_BLOCKS:
        realms[None].append(_Network(block, f"{block} of the internet"))
    for table, above, address in fixed_addresses(topology):
        if above is None and not any(address in block for block in blocks.INTERNET_BLOCKS):
            owner = table.partition(".")[2]
            name = f"{address}, an address of {owner}"
            realms[None].append(_Network(IPv4Network(address), name, f"{table}.addresses"))
    for router in topology.routers:
        lan = addresses.lans[router.name]
        network = _Network(lan, f"{lan}, the lan of {router.name}", f"router.{router.name}.lan")
        realms[realm_of_lan(topology, router.name)].append(network)
    for networks in realms.values():
        _check_disjoint(topology, networks)
    for router in topology.routers:
        if not router.is_routed:
            next_out = realm_of_lan(topology, router.upstream) if router.upstream else None
            for outside in dict.fromkeys((next_out, None)):
                _check_hides_nothing(topology, realms[router.name], realms[outside])


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
