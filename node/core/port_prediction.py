"""Where a NAT that gives out ports one after the other will show us to a peer.

A symmetric NAT maps anew for each destination, so what STUN servers saw is not what a peer will see. But
some count: two servers see 40010 and 40011, and the next destination sees 40012. So the ports after the
last one are told to the peer along with the true endpoints. It pings them all, its own NAT opens for each,
and our ping comes from one of them. (Guessing at NATs is as old as RFC 5128, section 3.4.)

Where the peer's mapping moves too that is no use: two NATs that count do not meet, for each ping at a guess
takes a port itself. So who names two ports at one address is told no guesses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from node.wire.endpoint import Endpoint

GUESSES = 8  # ports; a peer's addresses take one each, and so does whoever else is behind the NAT
NEAR = 8  # ports between two that were given out at the same moment; more is chance
LAST_PORT = 65535


def next_endpoints(seen: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """`seen`: as what servers at different addresses saw one socket of ours. Empty: nothing to guess."""
    ports = sorted({each.port for each in seen})
    if len(ports) < 2 or len({each.address for each in seen}) > 1:
        return ()
    if any(after - before > NEAR for before, after in pairwise(ports)):
        return ()
    last = ports[-1]
    following = range(last + 1, min(last + GUESSES, LAST_PORT) + 1)
    return tuple(Endpoint(seen[0].address, port) for port in following)


def moves(named: Iterable[Endpoint]) -> bool:
    """Whether a peer that names these is behind a NAT which maps anew for each destination."""
    ports: dict[str, int] = {}
    return any(ports.setdefault(each.address, each.port) != each.port for each in named)
