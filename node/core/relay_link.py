"""One connection to the relay server, and what the server wants done with it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from enum import Enum, auto
from typing import NamedTuple

from msgspec import Struct

from node.core.rate_limit import Meter
from node.core.relay_outbox import Outbox
from node.core.token_bucket import TokenBucket
from node.keys import NodePublic
from node.wire.endpoint import Endpoint


class Phase(Enum):
    HTTP = auto()  # waiting for the end of the request
    AUTH = auto()  # ServerKey is sent; waiting for ClientInfo
    VERIFY = auto()  # waiting for somebody outside to admit the key
    UP = auto()
    GONE = auto()


class Link:
    """Few and small fields: thousands of these sit idle."""

    __slots__ = (
        "heard", "ideal", "keepalive", "key", "mesh", "meter", "not_here", "outbox", "patch",
        "phase", "preferred", "prober", "raw_key", "skip", "source", "timer", "watches",
    )  # fmt: skip

    def __init__(self, source: Endpoint) -> None:
        self.source = source
        self.phase = Phase.HTTP
        self.outbox = Outbox()
        self.key: NodePublic | None = None
        self.raw_key = b""
        self.mesh = self.watches = self.preferred = self.prober = False
        self.ideal = True
        self.keepalive = 0.0  # seconds between two
        self.timer = 0.0  # when this phase ends or the next keepalive is due
        self.skip = 0  # bytes of an unknown frame still to come
        self.heard: set[bytes] = set()  # whose packets this connection was given
        self.not_here: TokenBucket | None = None
        self.meter: Meter | None = None
        self.patch: Patch | None = None  # of its last packets


class Patch(NamedTuple):
    """What a frame becomes, and for whom: true while nobody comes, goes or becomes active."""

    head: bytes  # of SendPacket, as it comes in
    becomes: bytes  # of RecvPacket, as it goes out
    size: int  # bytes of the whole frame
    target: Link | None  # None: nobody here has the key
    epoch: int  # of the registry


class Send(Struct, frozen=True):
    """Bytes that must arrive: answers and control frames."""

    link: Link
    data: bytes


class FrameMessages(Struct, frozen=True):
    """From here on, after what was sent, all bytes both ways are in WebSocket messages."""

    link: Link


class Pause(Struct, frozen=True):
    """This client sent more than its share: read nothing of it until then."""

    link: Link
    until: float


class Relay(Struct, frozen=True):
    """Packet frames for a client, droppable; views into the receive buffer, good until its next use."""

    link: Link
    runs: Sequence[bytes | memoryview]


class Forward(Struct, frozen=True):
    """ForwardPacket frames for another relay of the mesh."""

    forwarder: Hashable
    frames: bytes


class Close(Struct, frozen=True):
    """The connection; with `flush` after what waits has been written."""

    link: Link
    why: str
    flush: bool = False  # after what was sent has left


class Verify(Struct, frozen=True):
    """Ask outside whether this key may come in; the answer goes to `RelayServer.verified`."""

    link: Link
    key: NodePublic


class ClientConnected(Struct, frozen=True):
    """A login is complete."""

    peer: NodePublic
    source: Endpoint


class ClientGone(Struct, frozen=True):
    """Its last connection has ended."""

    peer: NodePublic


Output = (
    Send | FrameMessages | Pause | Relay | Forward | Close | Verify | ClientConnected | ClientGone
)
