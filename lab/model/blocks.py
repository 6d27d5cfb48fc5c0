"""The blocks that addresses are taken from when a topology leaves them out.

The internet has documentation prefixes (RFC 5737): routers' uplinks 203.0.113.0/24, relays
198.51.100.0/24, hosts 192.0.2.0/24. When one runs out, and for LANs without NAT, the benchmarking
block 198.18.0.0/15 (RFC 2544) serves. Homes are 192.168.n.0/24, carriers' insides 10.64.0.0/10.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from itertools import chain

ROUTERS = IPv4Network("203.0.113.0/24")
RELAYS = IPv4Network("198.51.100.0/24")
HOSTS = IPv4Network("192.0.2.0/24")
OVERFLOW = IPv4Network("198.18.0.0/16")
ROUTED_LANS = IPv4Network("198.19.0.0/16")
INTERNET_OWN = IPv4Address("192.0.2.1")
# Routers that map ports on request refuse to on a reserved address, as it cannot be a public one. So
# theirs come from a block that is none; nothing in a lab has a route to its real owner (AMPRNet).
MAPPING_ROUTERS = IPv4Network("44.12.0.0/16")
INTERNET_BLOCKS = (ROUTERS, RELAYS, HOSTS, OVERFLOW, MAPPING_ROUTERS)
ROUND = 10

HOME_LANS = IPv4Network("192.168.0.0/16")
MORE_HOME_LANS = IPv4Network("172.16.0.0/12")
CARRIER_LANS = IPv4Network("10.64.0.0/10")
CARRIER_PREFIX = 20  # 4000 subscribers, and room for 1000 carriers

FIRST_IN_LAN = 10  # leaves people's .2 to .9 for addresses that they give by hand


def home_lans() -> Iterator[IPv4Network]:
    first, *rest = HOME_LANS.subnets(new_prefix=24)
    return chain(rest, MORE_HOME_LANS.subnets(new_prefix=24), [first])


def carrier_lans() -> Iterator[IPv4Network]:
    return CARRIER_LANS.subnets(new_prefix=CARRIER_PREFIX)


def routed_lans() -> Iterator[IPv4Network]:
    return ROUTED_LANS.subnets(new_prefix=24)


def on_internet(block: IPv4Network) -> Iterator[IPv4Address]:
    """.10, .20, .30 ... are easy to tell apart; then whatever is left, then the overflow."""
    last = block.num_addresses - 2
    others = (n for n in range(1, last + 1) if n % ROUND)
    return chain((block[n] for n in chain(range(ROUND, last + 1, ROUND), others)), OVERFLOW.hosts())


def in_lan(lan: IPv4Network) -> Iterator[IPv4Address]:
    """.10, .11, ... then those below; the first address is the router's own."""
    start = FIRST_IN_LAN if lan.num_addresses > 2 * FIRST_IN_LAN else 2
    last = lan.num_addresses - 2
    return (lan[n] for n in chain(range(start, last + 1), range(2, start)))
