"""What a client's DERP connection says to its owner, and what it wants sent."""

from __future__ import annotations

from msgspec import Struct

from node.keys import NodePublic


class SendBytes(Struct, frozen=True):
    """Onto the connection, after what was sent before."""

    data: bytes


class FrameMessages(Struct, frozen=True):
    """The relay agreed: all bytes both ways are in WebSocket messages now; `early` came already."""

    early: bytes


class RelayUp(Struct, frozen=True):
    """The login is complete: packets pass."""

    server_key: NodePublic


class PacketsReceived(Struct, frozen=True):
    """From one peer, in order; neighbours come together."""

    source: NodePublic
    packets: list[bytes]


class PeerGone(Struct, frozen=True):
    """The relay cannot reach that peer, for a `derp.GoneReason`."""

    peer: NodePublic
    reason: int  # derp.GoneReason


class PeerPresent(Struct, frozen=True):
    """To watchers only: a relay of the same mesh."""

    peer: NodePublic


class RelayPong(Struct, frozen=True):
    """The relay has answered our ping, after so many seconds."""

    rtt: float


class RelayQuiet(Struct, frozen=True):
    """It leaves a ping unanswered for longer than that has ever taken: half-open, perhaps."""


class RelayHealth(Struct, frozen=True):
    """What troubles the relay, in its own words; empty: nothing any more."""

    problem: str  # empty: well again


class RelayDown(Struct, frozen=True):
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
