"""The machines of a plan: each one's interfaces, addresses, routes, rules and switches.

The internet is one plain router. It has one interface for each uplink, named after the machine, and
a host route for each address there, so one more address is one more route. Its own address is on
`lo` and is everybody's next hop, "onlink" for no network of an uplink covers it. A router's LAN is
the bridge `lan0`, with a port for each machine in it, hosts and routers alike.

IPv6 is laid out in the same way beside IPv4, but next hops are link-local, as everywhere: fe80::1 is whoever
is above, the internet or a LAN's router. Every link-local address is given by hand, for one that the
kernel makes takes a second of duplicate address detection.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from lab.model import nat64, port_mapping
from lab.model.addresses import Addresses
from lab.model.blocks import LINK_LOCAL, ROUTER_LINK_LOCAL
from lab.model.errors import TopologyError
from lab.model.link import PERFECT
from lab.model.names import port_name
from lab.model.nat import NatError, Site, render, sysctls
from lab.model.network import INTERNET, Address, Host, Network, Relay, Router, Topology
from lab.model.plan import Interface, Machine, Route, Ruleset
from lab.model.ruleset6 import Site6, render6, sysctls6

WAN, LAN = "wan0", "lan0"
FIRST_METRIC = 100  # a host's first uplink is its default route while it is up
METRIC_STEP = 100

# Two ways to one machine are nothing strange here, so no packet is dropped for its source.
NO_RP_FILTER = (("net.ipv4.conf.all.rp_filter", "0"), ("net.ipv4.conf.default.rp_filter", "0"))
# Pings to addresses of other LANs end here, in an error each; a ration of errors that they have used up
# would make a NAT that translates errors look like one that drops them.
NO_ICMP_RATION = (("net.ipv4.icmp_ratelimit", "0"),)
FORWARDING = (("net.ipv4.ip_forward", "1"), *NO_RP_FILTER, *NO_ICMP_RATION)
FORWARDING6 = (("net.ipv6.conf.all.forwarding", "1"),)
# A redirect would show a hairpinned packet's inside address to its sender; and where bridged packets
# pass iptables, a hairpin through the LAN's bridge is broken.
ROUTER = (
    *FORWARDING,
    ("net.ipv4.conf.all.send_redirects", "0"),
    ("net.ipv4.conf.default.send_redirects", "0"),
    ("net.bridge.bridge-nf-call-iptables", "0"),
    ("net.bridge.bridge-nf-call-ip6tables", "0"),
)


@dataclass(frozen=True, slots=True)
class Ground:
    """What every machine is laid out on."""

    topology: Topology
    sides: tuple[Addresses, ...]  # IPv4, and IPv6 if the topology has it
    hosts_file: tuple[tuple[str, str], ...]
    hosts_file64: tuple[tuple[str, str], ...]  # for those who reach IPv4 through a NAT64
    plugged: Mapping[str, Sequence[tuple[str, int]]]  # by router: hosts, and which uplink of theirs

    def mtu(self, uplink: str) -> int | None:
        return self.topology.links.get(uplink, PERFECT).mtu

    def side(self, version: int) -> Addresses | None:
        return next((side for side in self.sides if side.family.version == version), None)

    def names_of(self, host: Host) -> tuple[tuple[str, str], ...]:
        translated = nat64.router_of(self.topology, host) is not None
        return self.hosts_file64 if translated else self.hosts_file

    def below(self, router: str) -> list[Router]:
        return [each for each in self.topology.routers if each.upstream == router]

    def in_lan(self, router: str) -> Iterator[tuple[str, str]]:
        """Each machine that is plugged into a router: its name, and its uplink's."""
        for host, n in self.plugged.get(router, ()):
            yield host, f"{host}@{router}" if n else host
        for each in self.below(router):
            yield each.name, each.name

    def inside(self, side: Addresses, router: str) -> list[Address]:
        """The addresses that it sees inside: of its LAN, and behind routers there that only route."""
        hosts = (_uplink(side, host, n) for host, n in self.plugged.get(router, ()))
        below = self.below(router)
        uplinks = chain(hosts, (_uplink(side, each.name) for each in below))
        behind = (self.inside(side, each.name) for each in below if side.family.is_routed(each))
        return [*(uplink[0] for uplink in uplinks if uplink), *chain.from_iterable(behind)]

    def routed_below(self, side: Addresses, router: Router) -> Iterator[Network]:
        """What only routing reaches: its own LAN if it is no NAT, and those further down."""
        if router.name not in side.routers:
            return
        if router.name in side.outside:
            yield side.outside[router.name]
        if side.family.is_routed(router):
            yield side.lans[router.name]
            for each in self.below(router.name):
                yield from self.routed_below(side, each)


def plugged_into(topology: Topology) -> dict[str, list[tuple[str, int]]]:
    found: dict[str, list[tuple[str, int]]] = {}
    for host in topology.hosts:
        for n, router in enumerate(host.on):
            found.setdefault(router, []).append((host.name, n))
    return found


def machines_of(ground: Ground) -> Iterator[Machine]:
    yield _internet(ground)
    for relay in ground.topology.relays:
        yield _relay(ground, relay)
    for router in ground.topology.routers:
        yield _router(ground, router)
    for host in ground.topology.hosts:
        yield _host(ground, host)


def _internet(ground: Ground) -> Machine:
    own = tuple(_single(side.family.blocks.own) for side in ground.sides)
    interfaces = {"lo": Interface("lo", own, kind="loopback")}
    routes: list[Route] = []
    for name in _on_internet(ground.topology):
        port = port_name(name)
        uplinks = [(side, _uplink(side, name)) for side in ground.sides]
        link_local = (_link_local(1),) if any(_is_ipv6(uplink) for _, uplink in uplinks) else ()
        interfaces[port] = Interface(port, link_local, mtu=ground.mtu(name))
        routes += [Route(_single(address), port) for _, uplink in uplinks for address in uplink]
    for side in ground.sides:
        for router in side.family.routers:
            if router.upstream is None:
                routes += _routes_below(ground, side, router, port_name(router.name), onlink=True)
    return Machine(
        INTERNET,
        "internet",
        tuple(interfaces.values()),
        tuple(routes),
        sysctls=(*FORWARDING, *(FORWARDING6 if ground.side(6) else ())),
        hosts=ground.hosts_file,
    )


def _on_internet(topology: Topology) -> Iterator[str]:
    """The machines right on the internet."""
    yield from (relay.name for relay in topology.relays)
    yield from (router.name for router in topology.routers if router.upstream is None)
    yield from (host.name for host in topology.hosts if not host.on)


def _uplink(side: Addresses, machine: str, n: int = 0) -> tuple[Address, ...]:
    """A machine's addresses on its n-th uplink."""
    if machine in side.relays:
        return (side.relays[machine],)
    if machine in side.routers:
        return side.routers[machine]
    return side.hosts[machine][n] if machine in side.hosts else ()


def _relay(ground: Ground, relay: Relay) -> Machine:
    interface, routes = _port(ground, relay.name, "eth0", None)
    return Machine(relay.name, "relay", (interface,), tuple(routes), hosts=ground.hosts_file)


def _router(ground: Ground, router: Router) -> Machine:
    wan, routes = _port(ground, router.name, WAN, router.upstream)
    sides = [side for side in ground.sides if router.name in side.routers]
    for side in sides:
        for below in ground.below(router.name):
            routes += _routes_below(ground, side, below, LAN, onlink=False)
    routes += nat64.routes(router)
    own = [f"{side.gateway(router.name)}/{side.lans[router.name].prefixlen}" for side in sides]
    link_local = [_link_local(1)] if router.ipv6 else []
    ports = [
        Interface(port_name(name), master=LAN, mtu=ground.mtu(uplink))
        for name, uplink in ground.in_lan(router.name)
    ]
    switches = {**sysctls6(router.ipv6), **dict(sysctls(router.nat))}
    return Machine(
        name=router.name,
        kind="router",
        interfaces=(
            wan,
            Interface(LAN, (*own, *link_local), kind="bridge"),
            *ports,
            *nat64.interface(router),
        ),
        routes=tuple(routes),
        rules=tuple(_rules(ground, router)),
        sysctls=(*ROUTER, *(FORWARDING6 if router.ipv6 else ()), *switches.items()),
        hosts=ground.hosts_file,
    )


def _rules(ground: Ground, router: Router) -> Iterator[Ruleset]:
    for side in ground.sides:
        if router.name not in side.routers:
            continue
        wan_addresses = tuple(str(each) for each in side.routers[router.name])
        lan = str(side.lans[router.name])
        if side.family.version == 4:
            inside = ground.inside(side, router.name)
            inside += [
                other for _, other in nat64.stand_ins(ground.topology, ground.sides[-1], router)
            ]
            hosts, maps_ports = tuple(map(str, inside)), bool(router.port_mapping)
            yield from _rules4(
                ground, router, Site(WAN, LAN, wan_addresses, lan, hosts, maps_ports)
            )
        elif router.ipv6 is not None:
            outside = str(side.outside.get(router.name, ""))
            yield from render6(router.ipv6, Site6(WAN, LAN, wan_addresses[0], lan, outside))


def _rules4(ground: Ground, router: Router, site: Site) -> tuple[Ruleset, ...]:
    try:
        mapped = port_mapping.rules(router.port_mapping, router.nat, site)
        return render(router.nat, site) + mapped
    except NatError as error:
        key = f"router.{router.name}.{error.key}"
        raise TopologyError(ground.topology.file, key, error.problem, error.hint) from None


def _routes_below(
    ground: Ground, side: Addresses, router: Router, dev: str, onlink: bool
) -> Iterator[Route]:
    for network in ground.routed_below(side, router):
        via = str(side.routers[router.name][0])
        yield Route(str(network), dev, via=via, onlink=onlink)


def _host(ground: Ground, host: Host) -> Machine:
    interfaces, routes = [], []
    for n, above in enumerate(host.on or (None,)):
        metric = FIRST_METRIC + n * METRIC_STEP if len(host.on) > 1 else None
        interface, ways = _port(ground, host.name, f"eth{n}", above, n, metric)
        interfaces.append(interface)
        routes += ways
    return Machine(
        name=host.name,
        kind="host",
        interfaces=tuple(interfaces),
        routes=tuple(routes),
        sysctls=tuple(_of_several_uplinks(interfaces)) if len(interfaces) > 1 else (),
        hosts=ground.names_of(host),
    )


def _of_several_uplinks(interfaces: Sequence[Interface]) -> Iterator[tuple[str, str]]:
    """A route over a pulled cable gives way to the next one, as a laptop's network manager sees to."""
    yield from NO_RP_FILTER
    for each in interfaces:
        families = {"ipv6" if ":" in address else "ipv4" for address in each.addresses}
        for family in sorted(families):
            yield f"net.{family}.conf.{each.name}.ignore_routes_with_linkdown", "1"


def _port(
    ground: Ground,
    machine: str,
    name: str,
    above: str | None,
    n: int = 0,
    metric: int | None = None,
) -> tuple[Interface, list[Route]]:
    """The lower end of a machine's n-th uplink, with the default routes over it."""
    addresses: list[str] = []
    routes: list[Route] = []
    for side in ground.sides:
        uplink = _uplink(side, machine, n)
        if not uplink:
            continue
        prefix = side.lans[above].prefixlen if above else None
        addresses += [f"{each}/{prefix}" if prefix else _single(each) for each in uplink]
        if side.family.version == 6:
            addresses.append(_link_local(_interface_id(uplink[0]) if above else 2))
            routes.append(Route("default", name, via=str(ROUTER_LINK_LOCAL), metric=metric))
        else:
            hop = side.gateway(above) if above else side.family.blocks.own
            route = Route("default", name, via=str(hop), onlink=above is None, metric=metric)
            routes.append(route)
    mtu = ground.mtu(f"{machine}@{above}" if n else machine)
    return Interface(name, tuple(addresses), mtu=mtu), routes


def _single(address: Address) -> str:
    return f"{address}/{address.max_prefixlen}"


def _is_ipv6(uplink: tuple[Address, ...]) -> bool:
    return any(address.version == 6 for address in uplink)


def _interface_id(address: Address) -> int:
    return int(address) & 0xFFFF_FFFF_FFFF_FFFF


def _link_local(interface_id: int) -> str:
    return f"{LINK_LOCAL[interface_id]}/64"
