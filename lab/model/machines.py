"""The machines of a plan: each one's interfaces, addresses, routes, rules and switches.

The internet is one plain router. It has one interface for each uplink, named after the machine, and
a host route for each address there, so one more address is one more route. Its own address is on
`lo` and is everybody's next hop, "onlink" for no network of an uplink covers it. A router's LAN is
the bridge `lan0`, with a port for each machine in it, hosts and routers alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from lab.model import blocks, port_mapping
from lab.model.addresses import Addresses
from lab.model.errors import TopologyError
from lab.model.link import PERFECT
from lab.model.names import port_name
from lab.model.nat import NatError, Site, render, sysctls
from lab.model.network import INTERNET, Host, Router, Topology
from lab.model.plan import Interface, Machine, Route, Ruleset

WAN, LAN = "wan0", "lan0"
FIRST_METRIC = 100  # a host's first uplink is its default route while it is up
METRIC_STEP = 100

# Two ways to one machine are nothing strange here, so no packet is dropped for its source.
NO_RP_FILTER = (("net.ipv4.conf.all.rp_filter", "0"), ("net.ipv4.conf.default.rp_filter", "0"))
FORWARDING = (("net.ipv4.ip_forward", "1"), *NO_RP_FILTER)
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
    addresses: Addresses
    hosts_file: tuple[tuple[str, str], ...]

    def mtu(self, uplink: str) -> int | None:
        return self.topology.links.get(uplink, PERFECT).mtu

    def below(self, router: str) -> list[Router]:
        return [each for each in self.topology.routers if each.upstream == router]

    def in_lan(self, router: str) -> Iterator[tuple[str, str, IPv4Address]]:
        """Each machine in a LAN: its name, its uplink's name, its address there."""
        for host in self.topology.hosts:
            for n, above in enumerate(host.on):
                if above == router:
                    yield host.name, host.uplinks[n], self.addresses.hosts[host.name][n][0]
        for each in self.below(router):
            yield each.name, each.name, self.addresses.routers[each.name][0]

    def routed_below(self, router: Router) -> Iterator[IPv4Network]:
        """The LANs that only routing reaches: its own if it is no NAT, and those further down."""
        if router.is_routed:
            yield self.addresses.lans[router.name]
            for each in self.below(router.name):
                yield from self.routed_below(each)


def machines_of(ground: Ground) -> Iterator[Machine]:
    yield _internet(ground)
    for relay in ground.topology.relays:
        address = ground.addresses.relays[relay.name]
        yield Machine(
            name=relay.name,
            kind="relay",
            interfaces=(_on_internet("eth0", (address,), ground.mtu(relay.name)),),
            routes=(_to_internet("eth0"),),
            hosts=ground.hosts_file,
        )
    for router in ground.topology.routers:
        yield _router(ground, router)
    for host in ground.topology.hosts:
        yield _host(ground, host)


def _internet(ground: Ground) -> Machine:
    lo = Interface("lo", (f"{blocks.INTERNET_OWN}/32",), kind="loopback")
    interfaces, routes = [lo], []
    for name, addresses in _uplinks(ground):
        port = port_name(name)
        interfaces.append(Interface(port, mtu=ground.mtu(name)))
        routes += [Route(f"{address}/32", port) for address in addresses]
    for router in ground.topology.routers:
        if router.upstream is None:
            routes += _routes_below(ground, router, port_name(router.name), onlink=True)
    return Machine(
        INTERNET,
        "internet",
        tuple(interfaces),
        tuple(routes),
        sysctls=FORWARDING,
        hosts=ground.hosts_file,
    )


def _uplinks(ground: Ground) -> Iterator[tuple[str, tuple[IPv4Address, ...]]]:
    """The machines right on the internet, with their addresses there."""
    for relay in ground.topology.relays:
        yield relay.name, (ground.addresses.relays[relay.name],)
    for router in ground.topology.routers:
        if router.upstream is None:
            yield router.name, ground.addresses.routers[router.name]
    for host in ground.topology.hosts:
        if not host.on:
            yield host.name, ground.addresses.hosts[host.name][0]


def _router(ground: Ground, router: Router) -> Machine:
    lan = ground.addresses.lans[router.name]
    inside = list(ground.in_lan(router.name))
    own = Interface(LAN, (f"{lan[1]}/{lan.prefixlen}",), kind="bridge")
    ports = [
        Interface(port_name(name), master=LAN, mtu=ground.mtu(uplink)) for name, uplink, _ in inside
    ]
    routes = [_default(ground, router.upstream, WAN)]
    for below in ground.below(router.name):
        routes += _routes_below(ground, below, LAN, onlink=False)
    return Machine(
        name=router.name,
        kind="router",
        interfaces=(_wan(ground, router), own, *ports),
        routes=tuple(routes),
        rules=_rules(ground, router, [address for _, _, address in inside]),
        sysctls=(*ROUTER, *sysctls(router.nat)),
        hosts=ground.hosts_file,
    )


def _wan(ground: Ground, router: Router) -> Interface:
    addresses, mtu = ground.addresses.routers[router.name], ground.mtu(router.name)
    if router.upstream is None:
        return _on_internet(WAN, addresses, mtu)
    return _in_lan(WAN, addresses, ground.addresses.lans[router.upstream], mtu)


def _rules(ground: Ground, router: Router, inside: list[IPv4Address]) -> tuple[Ruleset, ...]:
    site = Site(
        wan=WAN,
        lan=LAN,
        wan_addresses=tuple(str(each) for each in ground.addresses.routers[router.name]),
        lan_net=str(ground.addresses.lans[router.name]),
        inside_hosts=tuple(str(each) for each in inside),
        maps_ports=bool(router.port_mapping),
    )
    try:
        return render(router.nat, site) + port_mapping.rules(router.port_mapping, site)
    except NatError as error:
        key = f"router.{router.name}.{error.key}"
        raise TopologyError(ground.topology.file, key, error.problem, error.hint) from None


def _routes_below(ground: Ground, router: Router, dev: str, onlink: bool) -> Iterator[Route]:
    via = str(ground.addresses.routers[router.name][0])
    for lan in ground.routed_below(router):
        yield Route(str(lan), dev, via=via, onlink=onlink)


def _host(ground: Ground, host: Host) -> Machine:
    uplinks = ground.addresses.hosts[host.name]
    if not host.on:
        interfaces = [_on_internet("eth0", uplinks[0], ground.mtu(host.name))]
        routes = [_to_internet("eth0")]
    else:
        interfaces, routes = [], []
        for n, router in enumerate(host.on):
            lan, mtu = ground.addresses.lans[router], ground.mtu(host.uplinks[n])
            metric = FIRST_METRIC + n * METRIC_STEP if len(host.on) > 1 else None
            interfaces.append(_in_lan(f"eth{n}", uplinks[n], lan, mtu))
            routes.append(_default(ground, router, f"eth{n}", metric))
    return Machine(
        name=host.name,
        kind="host",
        interfaces=tuple(interfaces),
        routes=tuple(routes),
        sysctls=NO_RP_FILTER if len(interfaces) > 1 else (),
        hosts=ground.hosts_file,
    )


def _default(ground: Ground, above: str | None, dev: str, metric: int | None = None) -> Route:
    if above is None:
        return _to_internet(dev)
    return Route("default", dev, via=str(ground.addresses.gateway(above)), metric=metric)


def _to_internet(dev: str) -> Route:
    return Route("default", dev, via=str(blocks.INTERNET_OWN), onlink=True)


def _on_internet(name: str, addresses: Iterable[IPv4Address], mtu: int | None) -> Interface:
    return Interface(name, tuple(f"{address}/32" for address in addresses), mtu=mtu)


def _in_lan(
    name: str, addresses: Iterable[IPv4Address], lan: IPv4Network, mtu: int | None
) -> Interface:
    return Interface(name, tuple(f"{each}/{lan.prefixlen}" for each in addresses), mtu=mtu)
