"""A topology's values: relays, routers and hosts, as people write them, checked but not yet placed.

Addresses that are left out here are given by `lab.model.addresses`; machines, wires and routes are
laid out by `lab.model.layout`. A machine's *uplink* is its way towards the internet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

from lab.model.link import LinkQuality
from lab.model.words import Nat

INTERNET = "internet"  # the machine in the middle
LISTEN_PORT = 41641  # where a node listens unless it is told otherwise


@dataclass(frozen=True, slots=True)
class Relay:
    """A DERP server, always on the internet. Its name is its region's code."""

    name: str
    hostname: str
    address: IPv4Address | None = None
    args: tuple[str, ...] = ()  # further arguments for its daemon


@dataclass(frozen=True, slots=True)
class Router:
    name: str
    nat: Nat
    upstream: str | None = None  # the router above; None: the internet
    lan: IPv4Network | None = None
    addresses: tuple[IPv4Address, ...] = ()  # on its uplink
    port_mapping: tuple[str, ...] = ()  # the protocols by which its LAN may ask for a port

    @property
    def is_routed(self) -> bool:
        """No NAT: what is above must know the way to its LAN."""
        return self.nat.mapping == "none"


@dataclass(frozen=True, slots=True)
class Host:
    name: str
    on: tuple[str, ...] = ()  # the routers it is plugged into; none: the internet
    addresses: tuple[IPv4Address, ...] = ()  # on the internet any number, else one for each uplink
    runs: str | None = None
    argv: tuple[str, ...] = ()
    overlay: tuple[str, ...] = ()
    listen_port: int = LISTEN_PORT
    home: str | None = None  # the relay that it prefers
    args: tuple[str, ...] = ()  # further arguments for its daemon

    @property
    def uplinks(self) -> tuple[str, ...]:
        """Names of its wires: its own, and for a second uplink `node-a@cell`."""
        return (self.name, *(f"{self.name}@{router}" for router in self.on[1:]))


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

    def way_up(self, router: str) -> list[Router]:
        """That router and those above it, the topmost last."""
        way = [self.router(router)]
        while (above := way[-1].upstream) is not None:
            way.append(self.router(above))
        return way
