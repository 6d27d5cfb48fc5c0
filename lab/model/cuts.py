"""Where the packets from one machine to another can be stopped, and nobody else's. Pure.

Who sends is certain at the upper end of the sender's own wire, before any NAT; who is to receive is certain
at the receiver's, behind all of them. At the other end there is only an address, and behind a NAT that
is the address of everybody in that home. So a way is cut

    at the sender's wire      by the receiver's addresses, if nobody shares them
    at the receiver's wire    by the sender's addresses, if nobody shares those
    at the sender's wire      if both share theirs; then what the sender sends to the others is cut too

A machine's addresses are its own and those of the routers above it, as far as the other one can see them: a
router on the other's way up, or the internet, must have a route there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address, ip_interface, ip_network
from typing import Literal, TypeAlias

from lab.model.blocks import through_nat64
from lab.model.plan import Machine, Plan, Wire

Side: TypeAlias = Literal["ingress", "egress"]
Way: TypeAlias = tuple[Wire, ...]  # from a machine up to the top
Seen: TypeAlias = dict[str, str]  # an address, or a network, and the machine it belongs to


@dataclass(frozen=True, slots=True)
class Barrier:
    machine: str
    device: str
    side: Side
    addresses: tuple[str, ...]  # of the receiver at the ingress, of the sender at the egress
    also: tuple[str, ...] = ()  # who shares them


def barriers(plan: Plan, sender: str, receiver: str) -> tuple[Barrier, ...]:
    """All of them together stop every packet from the one to the other; none: there is no way."""
    there, here = seen(plan, receiver, by=sender), seen(plan, sender, by=receiver)
    ends = (sender, receiver)
    # At the wire of a router all pass who are behind it.
    also_there = _sharing(plan, {*there.values(), sender}, ends)
    also_here = _sharing(plan, {*here.values(), receiver}, ends)
    up, down = _uplinks(plan, sender), _uplinks(plan, receiver)
    side: Side = "ingress"
    wires, addresses, also = up, there, also_there
    if not up or (also_there and not also_here and down):
        side, wires, addresses, also = "egress", down, here, also_here
    if not addresses:
        return ()
    return tuple(Barrier(*wire.b, side, tuple(addresses), also) for wire in wires)


def seen(plan: Plan, of: str, by: str) -> Seen:
    """Where packets for `of` may go to, as `by` sees it."""
    above = {wire.b[0] for way in _ways(plan, by) for wire in way} | {by}
    if of in above:
        own = plan.machine(of)
        return {a: of for each in own.interfaces for a in _addresses(plan, (of, each.name))}
    found: Seen = {}
    for way in _ways(plan, of):
        for n, wire in enumerate(way):
            if wire.b[0] in above:
                found |= _seen_from(plan, plan.machine(wire.b[0]), way[: n + 1])
    return found if _has_ipv4(plan.machine(by)) else _by_nat64(found)


def _has_ipv4(machine: Machine) -> bool:
    return any("." in address for each in machine.interfaces for address in each.addresses)


def _by_nat64(addresses: Seen) -> Seen:
    """Who has no IPv4 sees IPv4 addresses under the prefix of its NAT64."""
    return {
        str(through_nat64(IPv4Address(address))) if "." in address else address: owner
        for address, owner in addresses.items()
    }


def _seen_from(plan: Plan, top: Machine, way: Way) -> Seen:
    """Those of the addresses along the way that `top`, at its end, has a route to."""
    device = _device(top, way[-1].b[1])
    networks = [
        ip_interface(text).network
        for each in top.interfaces
        if each.name == device
        for text in each.addresses
    ]
    routes = [route for route in top.routes if route.dev == device and route.to != "default"]
    networks += [ip_network(route.to) for route in routes]
    found: Seen = {}
    for wire in way:
        for address in _addresses(plan, wire.a):
            parsed = ip_address(address)
            if any(parsed in network for network in networks if network.version == parsed.version):
                found[address] = wire.a[0]
    gateways = _addresses(plan, way[-1].a)
    lower = [ip_address(a) for wire in way[:-1] for a in _addresses(plan, wire.a)]
    for route in routes:  # a prefix under which a router shows its LAN
        network = ip_network(route.to)
        if route.via in gateways and not any(each in network for each in lower):
            found[route.to] = way[-1].a[0]
    return found


def _sharing(plan: Plan, owners: set[str], ends: tuple[str, str]) -> tuple[str, ...]:
    """The hosts and relays besides the two that are behind one of the owners."""
    return tuple(
        machine.name
        for machine in plan.machines
        if machine.kind in ("host", "relay") and machine.name not in ends
        if any(wire.b[0] in owners for way in _ways(plan, machine.name) for wire in way)
    )


def _ways(plan: Plan, machine: str) -> Iterator[Way]:
    for wire in _uplinks(plan, machine):
        further = list(_ways(plan, wire.b[0]))
        yield from ((wire, *way) for way in further or [()])


def _uplinks(plan: Plan, machine: str) -> list[Wire]:
    return [wire for wire in plan.wires if wire.a[0] == machine]


def _device(machine: Machine, name: str) -> str:
    """The interface that has the addresses: the bridge, for one of its ports."""
    return next((each.master or name for each in machine.interfaces if each.name == name), name)


def _addresses(plan: Plan, end: tuple[str, str]) -> list[str]:
    interfaces = plan.machine(end[0]).interfaces
    texts = (text for each in interfaces if each.name == end[1] for text in each.addresses)
    return [_bare(text) for text in texts if not _is_link_local(text)]


def _bare(text: str) -> str:
    return text.partition("/")[0]


def _is_link_local(text: str) -> bool:
    """Nobody beyond the wire uses it."""
    return ip_address(_bare(text)).is_link_local
