"""What the paths to one peer are, and what they ask for."""

from __future__ import annotations

from dataclasses import dataclass

from node.core.ways import PeerRelayed, Way
from node.wire.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Relayed:
    """By way of the peer's home relay: always there, never the fastest."""

    def __str__(self) -> str:
        return "relay"


@dataclass(frozen=True, slots=True)
class Direct:
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


@dataclass(frozen=True, slots=True)
class Route:
    """Where data goes now. Both: it is mirrored, and the replay window drops the copies."""

    direct: Way | None
    relay: bool


@dataclass(frozen=True, slots=True)
class SendPing:
    """A disco ping, padded to `size`: it asks whether full packets pass."""

    to: Way
    txid: bytes
    size: int  # bytes of the whole UDP payload


@dataclass(frozen=True, slots=True)
class SendPong:
    """The answer, back to where the ping came from."""

    to: Way
    txid: bytes


@dataclass(frozen=True, slots=True)
class SendCallMeMaybe:
    """Through the relay, with all our own endpoints."""


@dataclass(frozen=True, slots=True)
class PathChanged:
    """Data takes another way from now on; `rtt` in seconds, if it is known."""

    path: Path
    why: str
    rtt: float | None


Output = SendPing | SendPong | SendCallMeMaybe | PathChanged
