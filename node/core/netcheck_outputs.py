"""What a netcheck wants asked, and what it finds out."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.wire.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Report:
    """What kind of network this is. Latencies in seconds, by region; None: not known."""

    udp: bool
    ipv4: Endpoint | None = None
    ipv6: Endpoint | None = None
    mapping_varies: bool | None = None  # by destination, IPv4; None: fewer than two answers
    guesses: tuple[Endpoint, ...] = ()  # where a NAT that counts may show us to the next peer
    latency: dict[int, float] = field(default_factory=dict)  # of this run; by HTTPS if not by UDP
    preferred: int | None = None  # the region to be at home in


@dataclass(frozen=True, slots=True)
class SendStun:
    """A question, from the port that peers shall reach."""

    to: Endpoint
    datagram: bytes


@dataclass(frozen=True, slots=True)
class AskByHttps:
    """How far a relay of this region is: it may be the only way to ask."""

    region: int


@dataclass(frozen=True, slots=True)
class NetcheckDone:
    """All have answered, or had their time."""

    report: Report


@dataclass(frozen=True, slots=True)
class EndpointLearned:
    """How a STUN server sees us."""

    endpoint: Endpoint


Output = SendStun | AskByHttps | NetcheckDone | EndpointLearned
