"""Where this node can be reached: what we tell a peer in a CallMeMaybe.

Six sources: a port that our router has mapped to ours, where anybody may come in; what STUN servers
saw; where the NAT's mapping varies, its address with our own port, for somebody may have set up a
static forward there; what whoever runs the node says; the addresses of our own interfaces; and, where
no STUN server has answered in a family, what peers saw when we pinged them. Behind a NAT with
endpoint-dependent mapping that last kind is good for nobody else, hence the last resort.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from node.wire.endpoint import Endpoint

OVERLAY = (ip_network("100.64.0.0/10"), ip_network("fd7a:115c:a1e0::/48"))
SEEN_LIFETIME = 310.0  # seconds that an endpoint is told on after a peer has seen us there
MOST_LEARNED = 4  # of a kind and family: a symmetric NAT shows a new one to everybody
MOST_IPV6_OF_A_SUBNET = 2  # privacy addresses pile up


def is_overlay(address: str, own: Iterable[IPv4Network | IPv6Network] = ()) -> bool:
    """In the tunnel's own ranges: a path over such an address would run through the tunnel."""
    ip = ip_address(address)
    return any(ip.version == network.version and ip in network for network in (*OVERLAY, *own))


_is_overlay = lru_cache(maxsize=256)(is_overlay)  # for who asks about the same few with each tick


def choose_local(addresses: Iterable[str]) -> list[str]:
    """Which interface addresses to offer: link-local IPv4 and ULA only for want of better."""
    good: list[str] = []
    second: list[str] = []
    subnets: dict[bytes, int] = {}
    for address in addresses:
        ip = ip_address(address)
        if ip.is_loopback or ip.is_multicast or ip.is_unspecified or is_overlay(address):
            continue
        if ip.version == 4:
            (second if ip.is_link_local else good).append(str(ip))
        elif not ip.is_link_local:
            subnet = ip.packed[:8]
            subnets[subnet] = subnets.get(subnet, 0) + 1
            if subnets[subnet] <= MOST_IPV6_OF_A_SUBNET:
                (second if ip.packed[0] & 0xFE == 0xFC else good).append(str(ip))
    return good or second


class OwnEndpoints:
    """All kinds together, best first and none twice."""

    def __init__(self) -> None:
        self.local: tuple[Endpoint, ...] = ()
        self.mapped: Endpoint | None = None  # by our router, for us
        self.explicit: tuple[Endpoint, ...] = ()  # named by whoever runs this node
        self._seen: dict[Endpoint, float] = {}  # the latest last, and when it was

    def all(
        self, stun: Sequence[Endpoint], now: float, *, mapping_varies: bool = False
    ) -> list[Endpoint]:
        """`stun`: what servers saw, the latest first."""
        families = {each.is_ipv6 for each in stun}
        alive = [each for each, at in self._seen.items() if now < at + SEEN_LIFETIME]
        seen = [each for each in reversed(alive) if each.is_ipv6 not in families]
        mapped = [self.mapped] if self.mapped else []
        forwarded = self._forwarded(stun) if mapping_varies else []
        learned = [*mapped, *_newest(stun), *forwarded, *_newest(seen), *self.explicit]
        usable = [each for each in learned if not _is_overlay(each.address)]
        return list(dict.fromkeys([*usable, *self.local]))

    def _forwarded(self, stun: Sequence[Endpoint]) -> list[Endpoint]:
        """Where a static forward would be; no server can see it, for it is for those who come in."""
        ports = [each.port for each in self.local[:1]]
        outside = [each.address for each in stun if not each.is_ipv6]
        return [Endpoint(outside[0], port) for port in ports] if outside else []

    def learn_seen(self, endpoint: Endpoint, now: float) -> None:
        self._seen.pop(endpoint, None)
        self._seen[endpoint] = now
        while len(self._seen) > 2 * MOST_LEARNED:
            del self._seen[next(iter(self._seen))]

    def forget_learned(self) -> None:
        """The link has changed: no NAT that we knew is in front of us any more."""
        self._seen.clear()


def _newest(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    ipv4 = [each for each in endpoints if not each.is_ipv6]
    ipv6 = [each for each in endpoints if each.is_ipv6]
    return ipv4[:MOST_LEARNED] + ipv6[:MOST_LEARNED]
