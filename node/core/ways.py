"""A way to a peer by UDP: straight to an endpoint of its own, or through a peer relay.

A peer relay is a third node that passes datagrams on between two that cannot meet. To it we send what
we would send to the peer, with the 8 bytes of Geneve before it that say whose it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct

from node.wire.endpoint import Endpoint
from node.wire.geneve import GeneveHeader


class PeerRelayed(Struct, frozen=True):
    """Through the third node at that endpoint, which knows our pair by its number."""

    relay: Endpoint
    vni: int

    def __str__(self) -> str:
        return f"{self.relay}:vni:{self.vni}"


Way: TypeAlias = Endpoint | PeerRelayed


def first_hop(way: Way) -> Endpoint:
    return way.relay if isinstance(way, PeerRelayed) else way


def wrapped(datagrams: Sequence[bytes], way: Way, protocol: int) -> Sequence[bytes]:
    """As they go out on that way."""
    if not isinstance(way, PeerRelayed):
        return datagrams
    header = GeneveHeader(protocol, way.vni).pack()
    return [header + datagram for datagram in datagrams]
