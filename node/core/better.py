"""Which of two paths is the better one: points, as every disco client counts them.

The faster of two gets up to 100 points for its share of speed; an address nearer home (loopback,
link-local, private) and IPv6 get a few more. Any path without a peer relay beats any path with one.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from msgspec import Struct
from msgspec.structs import replace

from node.core.ways import PeerRelayed, Way
from node.wire.endpoint import Endpoint

WIRE_MTU = 1360  # bytes; what every path is counted to carry unless larger pings have come back

LOOPBACK_POINTS = 50
LINK_LOCAL_POINTS = 30
PRIVATE_POINTS = 20
IPV6_POINTS = 10
TOO_CLOSE = 1  # points: a lead that small is noise

# A path that works is left only for one that is faster by more than two measurements of the same
# path differ: a twentieth, and on a LAN, where a twentieth is nothing, half a millisecond.
MARGIN_SHARE = 0.05
MARGIN_TIME = 0.0005

_PRIVATE = tuple(
    map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")),
)


class Quality(Struct, frozen=True):
    """What is known of one path."""

    endpoint: Endpoint
    latency: float  # seconds, there and back
    mtu: int = WIRE_MTU
    vni: int | None = None  # of the peer relay in between


def quality_of(way: Way, latency: float) -> Quality:
    if isinstance(way, PeerRelayed):
        return Quality(way.relay, latency, vni=way.vni)
    return Quality(way, latency)


def better(a: Quality | None, b: Quality | None) -> bool:
    """Whether `a` is strictly better than `b`."""
    if a is None or b is None:
        return a is not None
    if (a.endpoint, a.vni) == (b.endpoint, b.vni):
        return a.mtu > b.mtu
    if (a.vni is None) != (b.vni is None):
        return a.vni is None
    a_points, b_points = points(a, b), points(b, a)
    if a_points <= TOO_CLOSE and b_points == 0:
        return False
    return a_points > b_points


def clearly_better(challenger: Quality, current: Quality) -> bool:
    """Better even if its latency had been measured too low: two near-equal paths never alternate."""
    latency = challenger.latency * (1 + MARGIN_SHARE) + MARGIN_TIME
    return better(replace(challenger, latency=latency), current)


def points(one: Quality, other: Quality) -> int:
    mine, theirs = round(one.latency * 1e9), round(other.latency * 1e9)
    speed = 100 - 100 * mine // theirs if mine < theirs else 0
    return speed + _nearness(one.endpoint.address)


@lru_cache(maxsize=1024)
def _nearness(text: str) -> int:
    address = ip_address(text)
    ipv6 = IPV6_POINTS if isinstance(address, IPv6Address) else 0
    if address.is_loopback:
        return LOOPBACK_POINTS + ipv6
    if address.is_link_local:
        return LINK_LOCAL_POINTS + ipv6
    return PRIVATE_POINTS + ipv6 if _is_private(address) else ipv6


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    return any(address.version == net.version and address in net for net in _PRIVATE)
