"""The blocks that addresses are taken from when a topology leaves them out.

The internet has documentation prefixes (RFC 5737): routers' uplinks 203.0.113.0/24, relays
198.51.100.0/24, hosts 192.0.2.0/24. When one runs out, and for LANs without NAT, the benchmarking
block 198.18.0.0/15 (RFC 2544) serves. Homes are 192.168.n.0/24, carriers' insides 10.64.0.0/10.

IPv6 has 2001:db8::/32 (RFC 3849) in the same order: 2001:db8:203::/64, :198: and :192: for what is on the
internet, 2001:db8:1:n::/64 for the LANs that are routed to, 2001:db8:2:n::/64 for what NPTv6 shows. A LAN
behind a translation is fd00:n::/64 (RFC 4193, with an easy number in place of a random one).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import chain

from lab.model.network import Address, Network

ROUND = 10
FIRST_IN_LAN = 10  # leaves people's .2 to .9 for addresses that they give by hand

HOME_LANS = IPv4Network("192.168.0.0/16")
MORE_HOME_LANS = IPv4Network("172.16.0.0/12")
CARRIER_LANS = IPv4Network("10.64.0.0/10")
CARRIER_PREFIX = 20  # 4000 subscribers, and room for 1000 carriers
ROUTED_LANS = IPv4Network("198.19.0.0/16")
OVERFLOW = IPv4Network("198.18.0.0/16")

ROUTED_LANS6 = IPv6Network("2001:db8:1::/48")
OUTSIDE_PREFIXES = IPv6Network("2001:db8:2::/48")
UNIQUE_LOCAL = IPv6Network("fd00::/16")
NAT64_PREFIX = IPv6Network(
    "2001:db8:64::/96"
)  # RFC 6052 §2.2: IPv4 addresses in their last 32 bits
NAT64_POOL = IPv4Network("192.168.255.0/24")  # whom a NAT64 stands for, inside its router
ROUTER_LINK_LOCAL = IPv6Address("fe80::1")  # everybody's next hop on a link
LINK_LOCAL = IPv6Network("fe80::/64")


# Routers that map ports on request refuse to on a reserved address, as it cannot be a public one. So
# theirs come from a block that is none; nothing in a lab has a route to its real owner (AMPRNet).
MAPPING_ROUTERS = IPv4Network("44.12.0.0/16")


@dataclass(frozen=True, slots=True)
class Blocks:
    """Where the addresses of one family come from."""

    own: Address  # the internet's
    routers: Network
    relays: Network
    hosts: Network
    mapping_routers: Network  # of those that map ports on request
    overflow: tuple[Network, ...]
    home_lans: Callable[[], Iterator[Network]]
    carrier_lans: Callable[[], Iterator[Network]]
    routed_lans: Callable[[], Iterator[Network]]
    on_internet: Callable[[Network], Iterator[Address]]
    in_lan: Callable[[Network], Iterator[Address]]

    @property
    def internet(self) -> tuple[Network, ...]:
        blocks = (self.routers, self.relays, self.hosts, self.mapping_routers, *self.overflow)
        return tuple(dict.fromkeys(blocks))


def through_nat64(address: IPv4Address) -> IPv6Address:
    """How a NAT64 shows an IPv4 address to its inside."""
    return NAT64_PREFIX[int(address)]


def outside_prefixes() -> Iterator[Network]:
    return _after_first(OUTSIDE_PREFIXES.subnets(new_prefix=64))


def _after_first(networks: Iterator[Network]) -> Iterator[Network]:
    """Number 0 is left out, so that the first is the one with a 1."""
    next(networks)
    return networks


def _home_lans() -> Iterator[Network]:
    first, *rest = HOME_LANS.subnets(new_prefix=24)
    return chain(rest, MORE_HOME_LANS.subnets(new_prefix=24), [first])


def _carrier_lans() -> Iterator[Network]:
    return CARRIER_LANS.subnets(new_prefix=CARRIER_PREFIX)


def _routed_lans() -> Iterator[Network]:
    return ROUTED_LANS.subnets(new_prefix=24)


def _on_internet(block: Network) -> Iterator[Address]:
    """.10, .20, .30 ... are easy to tell apart; then whatever is left, then the overflow."""
    last = block.num_addresses - 2
    others = (n for n in range(1, last + 1) if n % ROUND)
    return chain((block[n] for n in chain(range(ROUND, last + 1, ROUND), others)), OVERFLOW.hosts())


def _in_lan(lan: Network) -> Iterator[Address]:
    """.10, .11, ... then those below; the first address is the router's own."""
    start = FIRST_IN_LAN if lan.num_addresses > 2 * FIRST_IN_LAN else 2
    last = lan.num_addresses - 2
    return (lan[n] for n in chain(range(start, last + 1), range(2, start)))


def _unique_local_lans() -> Iterator[Network]:
    networks = UNIQUE_LOCAL.subnets(new_prefix=32)
    return _after_first(IPv6Network((each.network_address, 64)) for each in networks)


def _routed_lans6() -> Iterator[Network]:
    return _after_first(ROUTED_LANS6.subnets(new_prefix=64))


def _on_internet6(block: Network) -> Iterator[Address]:
    """::10, ::20, ::30, ..."""
    return (block[n] for n in range(0x10, 1 << 20, 0x10))


def _in_lan6(lan: Network) -> Iterator[Address]:
    """::10, ::11, ..."""
    return (lan[n] for n in range(0x10, 1 << 16))


IPV4 = Blocks(
    own=IPv4Address("192.0.2.1"),
    routers=IPv4Network("203.0.113.0/24"),
    relays=IPv4Network("198.51.100.0/24"),
    hosts=IPv4Network("192.0.2.0/24"),
    mapping_routers=MAPPING_ROUTERS,
    overflow=(OVERFLOW,),
    home_lans=_home_lans,
    carrier_lans=_carrier_lans,
    routed_lans=_routed_lans,
    on_internet=_on_internet,
    in_lan=_in_lan,
)
IPV6 = Blocks(
    own=IPv6Address("2001:db8:192::1"),
    routers=IPv6Network("2001:db8:203::/64"),
    relays=IPv6Network("2001:db8:198::/64"),
    hosts=IPv6Network("2001:db8:192::/64"),
    mapping_routers=IPv6Network("2001:db8:203::/64"),  # they map in IPv4 only
    overflow=(),
    home_lans=_unique_local_lans,
    carrier_lans=_unique_local_lans,
    routed_lans=_routed_lans6,
    on_internet=_on_internet6,
    in_lan=_in_lan6,
)
