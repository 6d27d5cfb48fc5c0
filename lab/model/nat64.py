"""NAT64 (RFC 6146): hosts without IPv4 reach it through a router's translator, tayga.

Names of what has no IPv6 address are shown to them under 2001:db8:64::/96, which leads to that router. There
each host has a stand-in, an IPv4 address of a pool that nobody else sees, and the router's own NAT
does the rest. So how such a host looks from outside is said by the words of that NAT.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from lab.model.addresses import Addresses
from lab.model.blocks import NAT64_POOL, NAT64_PREFIX
from lab.model.network import ROUTED6, Address, Host, Router, Topology
from lab.model.plan import JSON, Interface, Route

DEVICE = "nat64"
FIRST, LAST = 10, 250  # stand-ins within the pool; beyond that tayga finds one by itself


def router_of(topology: Topology, host: Host) -> Router | None:
    """Whose translator a host uses: one on its way out, if it has no IPv4 of its own."""
    if host.ipv4 and any(topology.router(above).ipv4 for above in host.on):
        return None
    ways = (router for above in host.on for router in topology.way_up(above))
    return next((router for router in ways if router.nat64), None)


def stand_ins(
    topology: Topology, side: Addresses, router: Router
) -> Iterator[tuple[Address, IPv4Address]]:
    """The hosts that come to this translator by an address of their own, and who stands for them."""
    free = (NAT64_POOL[n] for n in range(FIRST, LAST))
    for host in topology.hosts if router.nat64 else ():
        if router_of(topology, host) is router:
            for above, uplink in zip(host.on, side.hosts[host.name], strict=True):
                if uplink and _is_routed_up_to(topology, above, router):
                    yield from zip(uplink, free, strict=False)


def _is_routed_up_to(topology: Topology, above: str, router: Router) -> bool:
    way = topology.way_up(above)
    return router in way and all(each.ipv6 in ROUTED6 for each in way[: way.index(router)])


def interface(router: Router) -> tuple[Interface, ...]:
    return (Interface(DEVICE, kind="tun"),) if router.nat64 else ()


def routes(router: Router) -> tuple[Route, ...]:
    both = (Route(str(NAT64_POOL), DEVICE), Route(str(NAT64_PREFIX), DEVICE))
    return both if router.nat64 else ()


def settings(topology: Topology, side: Addresses, router: Router) -> dict[str, JSON]:
    """What the daemon is told."""
    hosts: dict[str, JSON] = {
        str(own): str(other) for own, other in stand_ins(topology, side, router)
    }
    return {
        "device": DEVICE,
        "prefix": str(NAT64_PREFIX),
        "pool": str(NAT64_POOL),
        "hosts": hosts,
    }
