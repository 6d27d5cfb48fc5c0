"""What was seen on a wire: so many packets of one kind, between two endpoints, one way.

One sighting is the tally of a moment (some 50 ms). What is sealed is told by its size alone, as disco's
pings and pongs are, or not at all: inside DERP's TLS everything is `derp`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

Way: TypeAlias = Literal["up", "down"]  # up: from the machine that the wire is named after
Kind: TypeAlias = Literal[
    "derp",  # TCP port 443, with something in it
    "tcp",  # the rest of TCP: acknowledgements, SYN, FIN, other ports
    "stun",  # RFC 8489
    "disco-ping",  # by its size
    "disco-pong",  # by its size
    "disco",  # any other, as what binds a node to a peer relay
    "handshake",  # WireGuard's initiation, response and cookie reply
    "data",  # WireGuard's transport data
    "keepalive",  # the same, empty
    "portmap",  # NAT-PMP, PCP, SSDP: a port is asked of the router
    "refusal",  # an ICMP error, as a NAT's answer to what it does not let in
    "udp",
    "other",  # any other IP packet
    "unread",  # of a flood: passed by before anybody looked
]


@dataclass(frozen=True, slots=True)
class Sighting:
    at: float  # seconds, CLOCK_MONOTONIC, as events have it: the end of the moment
    wire: str
    way: Way
    kind: Kind
    source: (
        str  # outer endpoint, IP:PORT or [IP]:PORT, as it is on this wire; "" where nobody looked
    )
    target: str
    packets: int  # a super-packet is one
    bytes: int  # of the IP packets
    by_peer_relay: bool = False  # wrapped in Geneve (RFC 8926)


def to_line(sighting: Sighting) -> str:
    return json.dumps({each.name: getattr(sighting, each.name) for each in fields(sighting)})


def parse_line(line: str | bytes) -> Sighting:
    raw: dict[str, Any] = json.loads(line)
    return Sighting(**raw)
