"""What every kind of diagram says of a topology: machines, links, and a few words on each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from lab.model.link import CLEAN, LinkQuality, Shape
from lab.model.nat import Nat
from lab.model.network import INTERNET, Host, Router, Topology

Kind = Literal["internet", "relay", "router", "host"]
SHORT = {  # RFC 4787 §4.1 and §5, by their initials
    "endpoint-independent": "EI",
    "address-dependent": "AD",
    "address-and-port-dependent": "APD",
}
UNITS = ((10**9, "gbit"), (10**6, "mbit"), (10**3, "kbit"), (1, "bit"))


@dataclass(frozen=True, slots=True)
class Label:
    """One machine: its name, and the lines beneath it."""

    name: str
    kind: Kind
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edge:
    """One link, named after its lower end."""

    uplink: str
    lower: str
    upper: str
    words: tuple[str, ...] = ()  # what is bent: "20 ms", "2 % loss"


def labels(topology: Topology, short: bool = False) -> Iterator[Label]:
    """`short`: NAT words by their initials, for a narrow box."""
    yield Label(INTERNET, "internet")
    for relay in topology.relays:
        yield Label(relay.name, "relay", (relay.hostname,))
    for router in topology.routers:
        yield Label(router.name, "router", tuple(_does(router, short)))
    for host in topology.hosts:
        yield Label(host.name, "host", tuple(_about(host)))


def edges(topology: Topology) -> Iterator[Edge]:
    for uplink, lower, upper in _uplinks(topology):
        quality = topology.links.get(uplink)
        yield Edge(uplink, lower, upper, tuple(_quality(quality)) if quality else ())


def _uplinks(topology: Topology) -> Iterator[tuple[str, str, str]]:
    """The uplink's name, the machine below, the machine above."""
    for relay in topology.relays:
        yield relay.name, relay.name, INTERNET
    for router in topology.routers:
        yield router.name, router.name, router.upstream or INTERNET
    for host in topology.hosts:
        for uplink, above in zip(host.uplinks, host.on or (INTERNET,), strict=True):
            yield uplink, host.name, above


def describe(nat: Nat) -> str:
    """A preset's name, or the words that matter most."""
    return nat.preset or f"{nat.mapping} mapping, {nat.filtering} filtering"


def _does(router: Router, short: bool) -> Iterator[str]:
    if router.ipv4 and short and not router.nat.preset:
        yield f"{SHORT.get(router.nat.mapping, router.nat.mapping)} mapping"
        yield f"{SHORT.get(router.nat.filtering, router.nat.filtering)} filtering"
    elif router.ipv4:
        yield describe(router.nat)
    if router.ipv4 and not router.nat.udp:
        yield "no UDP"
    if router.port_mapping:
        yield f"maps ports: {', '.join(router.port_mapping)}"
    if router.ipv6:
        yield f"IPv6 {router.ipv6}" + (", NAT64" if router.nat64 else "")


def _about(host: Host) -> Iterator[str]:
    if host.runs == "command":
        yield " ".join(host.argv)
    elif host.runs not in (None, "node"):
        yield str(host.runs)
    if host.peer_relay:
        yield "peer relay"
    yield from host.overlay


def _quality(quality: LinkQuality) -> Iterator[str]:
    ways = [("", quality.up)]
    if quality.up != quality.down:
        ways = [("up ", quality.up), ("down ", quality.down)]
    for way, shape in ways:
        if shape != CLEAN:
            first, *rest = _shape(shape)
            yield from (way + first, *rest)
    if quality.mtu:
        yield f"mtu {quality.mtu}"


def _shape(shape: Shape) -> list[str]:
    words = (
        f"{shape.delay * 1e3:g} ms" if shape.delay else "",
        f"{shape.jitter * 1e3:g} ms jitter" if shape.jitter else "",
        f"{shape.loss * 100:g} % loss" if shape.loss else "",
        f"bursts of {shape.burst:g}" if shape.burst > 1 else "",
        _rate(shape.rate) if shape.rate else "",
        f"{shape.reorder * 100:g} % reordered" if shape.reorder else "",
        f"{shape.duplicate * 100:g} % twice" if shape.duplicate else "",
        "no ICMP errors" if shape.icmp == "drop" else "",
    )
    return [word for word in words if word]


def _rate(rate: int) -> str:
    size, unit = next((size, unit) for size, unit in UNITS if rate >= size)
    return f"{rate / size:g} {unit}"
