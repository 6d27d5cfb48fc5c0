"""What a WireGuard device asks for and tells: the only things that come out of its methods.

Which path leads to a peer is not the device's business: `Transmit` names the peer, and the source of
a datagram is a value that the device hands back as it came. What each batch makes is a tuple, because
that takes half the time.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar, NamedTuple, TypeAlias

from msgspec import Struct

from node.core.checksum import Buffer
from node.core.rows import Rows
from node.keys import NodePublic
from node.veiled import Veiled

Source: TypeAlias = Hashable
"""Where a datagram came from: an endpoint, a relay, whatever the caller compares by value."""


class Transmit(Struct, frozen=True):
    """Send these to the peer, in this order."""

    peer: NodePublic
    datagrams: list[bytes]
    is_data: bool
    """False for handshake messages and keepalives: nobody waits for an application's bytes."""


class TransmitRows(NamedTuple):
    """Sealed data for the peer, in a buffer that the next batch uses again."""

    peer: NodePublic
    rows: Sequence[Rows]


class Reply(Struct, frozen=True):
    """Send these back to where the datagram came from: a cookie reply, before any peer is known."""

    to: Source
    datagrams: list[bytes]


class Deliver(Struct, frozen=True):
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


class HandshakeCompleted(Struct, frozen=True):
    """New keys are in use for sending. For a responder: the peer has confirmed them."""

    peer: NodePublic
    initiator: bool


class HandshakeSecrets(Veiled, frozen=True):
    """What opens this handshake in a capture. Only from a device that was told to log keys."""

    veiled: ClassVar = ("static", "ephemeral", "preshared", "message")
    peer: NodePublic
    static: bytes
    ephemeral: bytes
    preshared: bytes
    message: bytes  # ours, as sent: the initiation or the response


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
