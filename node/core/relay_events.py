"""What a client's DERP connection says to its owner, and what it wants sent."""

from __future__ import annotations

from dataclasses import dataclass

from node.keys import NodePublic


@dataclass(frozen=True, slots=True)
class SendBytes:
    """Onto the connection, after what was sent before."""

    data: bytes


@dataclass(frozen=True, slots=True)
class FrameMessages:
    """The relay agreed: all bytes both ways are in WebSocket messages now; `early` came already."""

    early: bytes


@dataclass(frozen=True, slots=True)
class RelayUp:
    """The login is complete: packets pass."""

    server_key: NodePublic


@dataclass(frozen=True, slots=True)
class PacketsReceived:
    """From one peer, in order; neighbours come together."""

    source: NodePublic
    packets: list[bytes]


@dataclass(frozen=True, slots=True)
class PeerGone:
    """The relay cannot reach that peer, for a `derp.GoneReason`."""

    peer: NodePublic
    reason: int  # derp.GoneReason


@dataclass(frozen=True, slots=True)
class PeerPresent:
    """To watchers only: a relay of the same mesh."""

    peer: NodePublic


@dataclass(frozen=True, slots=True)
class RelayPong:
    """The relay has answered our ping, after so many seconds."""

    rtt: float


@dataclass(frozen=True, slots=True)
class RelayQuiet:
    """It leaves a ping unanswered for longer than that has ever taken: half-open, perhaps."""


@dataclass(frozen=True, slots=True)
class RelayHealth:
    """What troubles the relay, in its own words; empty: nothing any more."""

    problem: str  # empty: well again


@dataclass(frozen=True, slots=True)
class RelayDown:
    """The last event. `retry` False: it will fail again until somebody changes something."""

    why: str
    retry: bool


Event = (
    RelayUp
    | PacketsReceived
    | PeerGone
    | PeerPresent
    | RelayPong
    | RelayQuiet
    | RelayHealth
    | RelayDown
)
Output = SendBytes | FrameMessages | Event
