"""What a WireGuard device asks for and tells: the only things that come out of its methods.

Which path leads to a peer is not the device's business: `Transmit` names the peer, and the source of
a datagram is a value that the device hands back as it came. What each batch makes is a tuple, because
that takes half the time.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from node.core.checksum import Buffer
from node.core.rows import Rows
from node.keys import NodePublic

Source: TypeAlias = Hashable
"""Where a datagram came from: an endpoint, a relay, whatever the caller compares by value."""


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send these to the peer, in this order."""

    peer: NodePublic
    datagrams: list[bytes]
    is_data: bool
    """False for handshake messages and keepalives: nobody waits for an application's bytes."""


class TransmitRows(NamedTuple):
    """Sealed data for the peer, in a buffer that the next batch uses again."""

    peer: NodePublic
    rows: Sequence[Rows]


@dataclass(frozen=True, slots=True)
class Reply:
    """Send these back to where the datagram came from: a cookie reply, before any peer is known."""

    to: Source
    datagrams: list[bytes]


@dataclass(frozen=True, slots=True)
class Deliver:
    """IP packets from the peer: authenticated, new, allowed source address, padding cut off."""

    peer: NodePublic
    packets: list[bytes]
    source: Source


class DeliverWrites(NamedTuple):
    """As `Deliver`, merged and ready for the TUN interface; good until the next batch."""

    peer: NodePublic
    writes: Sequence[Buffer]


class Heard(NamedTuple):
    """An authenticated, fresh datagram of the peer came from this source. Once a batch and peer."""

    peer: NodePublic
    source: Source


class InitiationTooOld(NamedTuple):
    """Genuine, and older than one before: replayed, or its sender restarted with its clock set back."""

    peer: NodePublic


@dataclass(frozen=True, slots=True)
class HandshakeCompleted:
    """New keys are in use for sending. For a responder: the peer has confirmed them."""

    peer: NodePublic
    initiator: bool


@dataclass(frozen=True, slots=True)
class HandshakeSecrets:
    """What opens this handshake in a capture. Only from a device that was told to log keys."""

    peer: NodePublic
    static: bytes = field(repr=False)
    ephemeral: bytes = field(repr=False)
    preshared: bytes = field(repr=False)
    message: bytes = field(repr=False)  # ours, as sent: the initiation or the response


Output: TypeAlias = (
    Transmit
    | TransmitRows
    | Reply
    | Deliver
    | DeliverWrites
    | Heard
    | InitiationTooOld
    | HandshakeCompleted
    | HandshakeSecrets
)
