"""What the paths to one peer are, and what they ask for."""

from __future__ import annotations

from msgspec import Struct

from node.core.ways import PeerRelayed, Way
from node.wire.endpoint import Endpoint


class Relayed(Struct, frozen=True):
    """By way of the peer's home relay: always there, never the fastest."""

    def __str__(self) -> str:
        return "relay"


class Direct(Struct, frozen=True):
    """UDP from node to node, proven by a pong."""

    endpoint: Endpoint

    def __str__(self) -> str:
        return str(self.endpoint)


Path = Relayed | PeerRelayed | Direct


def path_by(way: Way) -> PeerRelayed | Direct:
    return way if isinstance(way, PeerRelayed) else Direct(way)


def kind_of(path: Path) -> str:
    match path:
        case Direct():
            return "direct"
        case PeerRelayed():
            return "peer-relay"
    return "relay"


def way_of(path: Path) -> Way | None:
    """None: by the relay."""
    match path:
        case Direct(endpoint):
            return endpoint
        case PeerRelayed():
            return path
    return None


class Route(Struct, frozen=True):
    """Where data goes now. Both: it is mirrored, and the replay window drops the copies."""

    direct: Way | None
    relay: bool


class SendPing(Struct, frozen=True):
    """A disco ping, padded to `size`: it asks whether full packets pass."""

    to: Way
    txid: bytes
    size: int  # bytes of the whole UDP payload


class SendPong(Struct, frozen=True):
    """The answer, back to where the ping came from."""

    to: Way
    txid: bytes


class SendCallMeMaybe(Struct, frozen=True):
    """Through the relay, with all our own endpoints."""


class PathChanged(Struct, frozen=True):
    """Data takes another way from now on; `rtt` in seconds, if it is known."""

    path: Path
    why: str
    rtt: float | None


Output = SendPing | SendPong | SendCallMeMaybe | PathChanged
