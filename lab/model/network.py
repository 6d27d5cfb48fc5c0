"""A topology's values: relays, routers and hosts, as people write them, checked but not yet placed.

Addresses that are left out here are given by `lab.model.addresses`; machines, wires and routes are
laid out by `lab.model.layout`. A machine's *uplink* is its way towards the internet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal, TypeAlias

from lab.model.link import LinkQuality
from lab.model.words import Nat

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# What a router does with IPv6. The first three route (RFC 6092 is about the firewalls among them),
# the other two translate: NAT66 as IPv4's NATs do, NPTv6 one prefix to another (RFC 6296).
IPv6Kind = Literal["open", "firewall", "firewall-open", "nat66", "nptv6"]
ROUTED6 = ("open", "firewall", "firewall-open")

INTERNET = "internet"  # the machine in the middle
LISTEN_PORT = 41641  # where a node listens unless it is told otherwise


@dataclass(frozen=True, slots=True)
class Relay:
    """A DERP server, always on the internet. Its name is its region's code."""

    name: str
    hostname: str
    addresses: tuple[Address, ...] = ()  # at most one of each family
    args: tuple[str, ...] = ()  # further arguments for its daemon
    ipv4: bool = True
    ipv6: bool | None = None  # None: as soon as anything in the topology has it


@dataclass(frozen=True, slots=True)
class Router:
    name: str
    nat: Nat
    upstream: str | None = None  # the router above; None: the internet
    lan: IPv4Network | None = None
    addresses: tuple[Address, ...] = ()  # on its uplink
    port_mapping: tuple[str, ...] = ()  # the protocols by which its LAN may ask for a port
    ipv4: bool = True
    ipv6: IPv6Kind | None = None
    lan6: IPv6Network | None = None
    nat64: bool = False


@dataclass(frozen=True, slots=True)
class Host:
    name: str
    on: tuple[str, ...] = ()  # the routers it is plugged into; none: the internet
    addresses: tuple[Address, ...] = ()  # on the internet any number, else one for each uplink
    runs: str | None = None
    argv: tuple[str, ...] = ()
    ready: str | None = None  # words by which a command says that it is
    overlay: tuple[str, ...] = ()
    listen_port: int = LISTEN_PORT
    peer_relay: bool = False  # a node that passes datagrams on for others
    home: str | None = None  # the relay that it prefers
    args: tuple[str, ...] = ()  # further arguments for its daemon
    ipv4: bool = True  # false: none, although the LAN has it
    ipv6: bool | None = None  # None: where the LAN has it; on the internet as a relay

    @property
    def uplinks(self) -> tuple[str, ...]:
        """Names of its wires: its own, and for a second uplink `node-a@cell`."""
        return (self.name, *(f"{self.name}@{router}" for router in self.on[1:]))


@dataclass(frozen=True, slots=True)
class Source:
    """What a topology was read from."""

    text: str
    overrides: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Topology:
    file: str  # as error messages name it
    name: str
    title: str
    drawing: str
    relays: tuple[Relay, ...] = ()
    routers: tuple[Router, ...] = ()
    hosts: tuple[Host, ...] = ()
    links: Mapping[str, LinkQuality] = field(default_factory=dict)
    source: Source | None = field(default=None, compare=False, repr=False)

    def router(self, name: str) -> Router:
        return next(router for router in self.routers if router.name == name)

    def host(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)

    def relay(self, name: str) -> Relay:
        return next(relay for relay in self.relays if relay.name == name)

    @property
    def names(self) -> tuple[str, ...]:
        return (
            *(relay.name for relay in self.relays),
            *(router.name for router in self.routers),
            *(host.name for host in self.hosts),
        )

    @property
    def has_ipv6(self) -> bool:
        """Anything in it has IPv6, so all that is right on the internet has it too."""
        ends: tuple[Relay | Host, ...] = (*self.relays, *self.hosts)
        return any(router.ipv6 for router in self.routers) or any(
            end.ipv6 or not end.ipv4 or any(each.version == 6 for each in end.addresses)
            for end in ends
        )

    def way_up(self, router: str) -> list[Router]:
        """That router and those above it, the topmost last."""
        way = [self.router(router)]
        while (above := way[-1].upstream) is not None:
            way.append(self.router(above))
        return way
