"""What a netcheck wants asked, and what it finds out."""

from __future__ import annotations

from msgspec import Struct, field

from node.wire.endpoint import Endpoint


class Report(Struct, frozen=True):
    """What kind of network this is. Latencies in seconds, by region; None: not known."""

    udp: bool
    ipv4: Endpoint | None = None
    ipv6: Endpoint | None = None
    mapping_varies: bool | None = None  # by destination, IPv4; None: fewer than two answers
    guesses: tuple[Endpoint, ...] = ()  # where a NAT that counts may show us to the next peer
    latency: dict[int, float] = field(default_factory=dict)  # of this run; by HTTPS if not by UDP
    preferred: int | None = None  # the region to be at home in


class SendStun(Struct, frozen=True):
    """A question, from the port that peers shall reach."""

    to: Endpoint
    datagram: bytes


class AskByHttps(Struct, frozen=True):
    """How far a relay of this region is: it may be the only way to ask."""

    region: int


class NetcheckDone(Struct, frozen=True):
    """All have answered, or had their time."""

    report: Report


class EndpointLearned(Struct, frozen=True):
    """How a STUN server sees us."""

    endpoint: Endpoint


Output = SendStun | AskByHttps | NetcheckDone | EndpointLearned
