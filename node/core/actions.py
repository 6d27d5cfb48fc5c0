"""What the mesh wants done, and what it tells: the only things that come out of its methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from msgspec import Struct, field

from node.core.checksum import Buffer
from node.core.device_outputs import HandshakeSecrets
from node.core.rows import Rows
from node.core.ways import Way
from node.keys import NodePublic
from node.wire.endpoint import Endpoint

Field: TypeAlias = "str | int | float | bool | list[str] | Mapping[str, float] | None"


class RelayPath(Struct, frozen=True):
    """A source of datagrams: this peer, by way of this region's relay."""

    region: int
    peer: NodePublic


class SendUdp(Struct, frozen=True):
    """From our one UDP port."""

    datagrams: Sequence[bytes]
    to: Endpoint


class SendRows(NamedTuple):
    """At once: the next batch is made in the same buffer."""

    rows: Sequence[Rows]
    to: Endpoint


class SendRelay(Struct, frozen=True):
    """By way of that region's relay."""

    region: int
    peer: NodePublic
    packets: Sequence[bytes]


class WriteTun(Struct, frozen=True):
    """IP packets for the application."""

    packets: Sequence[bytes]


class WriteMerged(NamedTuple):
    """At once: packets with their virtio headers, in the next batch's buffer."""

    writes: Sequence[Buffer]


class ConnectRelay(Struct, frozen=True):
    """To a server of that region; `home`: peers look for us there."""

    region: int
    home: bool


class CloseRelay(Struct, frozen=True):
    """Nobody needs it any more."""

    region: int


class PreferRelay(Struct, frozen=True):
    """Tell an open connection whether it is the home now (NotePreferred)."""

    region: int
    home: bool


class ProbeRelay(Struct, frozen=True):
    """Ask an open connection whether the relay still answers."""

    region: int


class MeasureRelay(Struct, frozen=True):
    """How far a relay of that region is by HTTPS, over a connection of its own."""

    region: int


class Answered(Struct, frozen=True):
    """The first answer to a ping that a person asked for."""

    ask: int
    peer: NodePublic
    via: Way | int  # by UDP, or through a relay's region
    rtt: float


class LogKeys(Struct, frozen=True):
    """For the key log that somebody asked for, and for nothing else."""

    secrets: HandshakeSecrets


class Event(Struct, frozen=True):
    """One line of the log of transitions."""

    name: str
    fields: Mapping[str, Field] = field(default_factory=dict)
    verbose: bool = False  # every ping and pong: only for those who ask


Action: TypeAlias = (
    SendUdp
    | SendRows
    | SendRelay
    | WriteTun
    | WriteMerged
    | ConnectRelay
    | CloseRelay
    | PreferRelay
    | ProbeRelay
    | MeasureRelay
    | Answered
    | LogKeys
    | Event
)
