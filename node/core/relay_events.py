"""What a client's DERP connection says to its owner, and what it wants sent."""

from __future__ import annotations

from dataclasses import dataclass

from node.keys import NodePublic


@dataclass(frozen=True, slots=True)
class SendBytes:
    data: bytes


@dataclass(frozen=True, slots=True)
class FrameMessages:
    """The relay agreed: all bytes both ways are in WebSocket messages now; `early` came already."""

    early: bytes


@dataclass(frozen=True, slots=True)
class RelayUp:
    server_key: NodePublic


@dataclass(frozen=True, slots=True)
class PacketsReceived:
    source: NodePublic
    packets: list[bytes]


@dataclass(frozen=True, slots=True)
class PeerGone:
    peer: NodePublic
    reason: int  # derp.GoneReason


@dataclass(frozen=True, slots=True)
class PeerPresent:
    """To watchers only: a relay of the same mesh."""

    peer: NodePublic


@dataclass(frozen=True, slots=True)
class RelayPong:
    rtt: float


@dataclass(frozen=True, slots=True)
class RelayHealth:
    problem: str  # empty: well again


@dataclass(frozen=True, slots=True)
class RelayDown:
    """The last event. `retry` False: it will fail again until somebody changes something."""

    why: str
    retry: bool


Event = RelayUp | PacketsReceived | PeerGone | PeerPresent | RelayPong | RelayHealth | RelayDown
Output = SendBytes | FrameMessages | Event
