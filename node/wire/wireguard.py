"""WireGuard's four messages (WireGuard paper §5.4). All integers are little endian.

    initiation    type 1, sender 4, ephemeral 32, sealed static 48, sealed timestamp 28, mac1 16, mac2 16
    response      type 2, sender 4, receiver 4, ephemeral 32, sealed nothing 16, mac1 16, mac2 16
    cookie reply  type 3, receiver 4, nonce 24, sealed cookie 32
    transport     type 4, receiver 4, counter 8, sealed packet (padded to 16) + 16

The type is one byte and three zero bytes. Sender and receiver are indices that each side chose for
itself. A transport message with nothing inside is a keepalive.
"""

from __future__ import annotations

import struct
from typing import Any, TypeAlias

from msgspec import Struct

from node.wire.malformed import Malformed

INITIATION = 1
RESPONSE = 2
COOKIE_REPLY = 3
TRANSPORT = 4

KEY_SIZE = 32
TAG_SIZE = 16
MAC_SIZE = 16
MACS_SIZE = 2 * MAC_SIZE
COOKIE_NONCE_SIZE = 24

TRANSPORT_HEADER = struct.Struct("<IIQ")
TRANSPORT_HEADER_SIZE = TRANSPORT_HEADER.size
KEEPALIVE_SIZE = TRANSPORT_HEADER_SIZE + TAG_SIZE

_INITIATION = struct.Struct("<II32s48s28s16s16s")
_RESPONSE = struct.Struct("<III32s16s16s16s")
_COOKIE_REPLY = struct.Struct("<II24s32s")
INITIATION_SIZE = _INITIATION.size
RESPONSE_SIZE = _RESPONSE.size

NO_MAC = bytes(MAC_SIZE)


class Initiation(Struct, frozen=True):
    """Message type 1, 148 bytes (WireGuard paper §5.4.2)."""

    sender: int
    ephemeral: bytes
    sealed_static: bytes
    sealed_timestamp: bytes
    mac1: bytes = NO_MAC
    mac2: bytes = NO_MAC

    def pack(self) -> bytes:
        return _INITIATION.pack(
            INITIATION,
            self.sender,
            self.ephemeral,
            self.sealed_static,
            self.sealed_timestamp,
            self.mac1,
            self.mac2,
        )


class Response(Struct, frozen=True):
    """Message type 2, 92 bytes (§5.4.3)."""

    sender: int
    receiver: int
    ephemeral: bytes
    sealed_nothing: bytes
    mac1: bytes = NO_MAC
    mac2: bytes = NO_MAC

    def pack(self) -> bytes:
        return _RESPONSE.pack(
            RESPONSE,
            self.sender,
            self.receiver,
            self.ephemeral,
            self.sealed_nothing,
            self.mac1,
            self.mac2,
        )


class CookieReply(Struct, frozen=True):
    """Message type 3, 64 bytes (§5.4.7)."""

    receiver: int
    nonce: bytes
    sealed_cookie: bytes

    def pack(self) -> bytes:
        return _COOKIE_REPLY.pack(COOKIE_REPLY, self.receiver, self.nonce, self.sealed_cookie)


class Transport(Struct, frozen=True):
    """Message type 4: a sealed packet (§5.4.6)."""

    receiver: int
    counter: int
    sealed: bytes

    def pack(self) -> bytes:
        return TRANSPORT_HEADER.pack(TRANSPORT, self.receiver, self.counter) + self.sealed


Message: TypeAlias = Initiation | Response | CookieReply | Transport


def parse(datagram: bytes) -> Message:
    if len(datagram) < 4:
        raise Malformed(f"wireguard: {len(datagram)} bytes are no message")
    match int.from_bytes(datagram[:4], "little"):
        case 1:
            _, sender, ephemeral, static, timestamp, mac1, mac2 = _unpack(_INITIATION, datagram)
            return Initiation(sender, ephemeral, static, timestamp, mac1, mac2)
        case 2:
            _, sender, receiver, ephemeral, nothing, mac1, mac2 = _unpack(_RESPONSE, datagram)
            return Response(sender, receiver, ephemeral, nothing, mac1, mac2)
        case 3:
            _, receiver, nonce, cookie = _unpack(_COOKIE_REPLY, datagram)
            return CookieReply(receiver, nonce, cookie)
        case 4:
            return _parse_transport(datagram)
        case kind:
            raise Malformed(f"wireguard: unknown message type {kind:#x}")


def _parse_transport(datagram: bytes) -> Transport:
    if len(datagram) < KEEPALIVE_SIZE:
        raise Malformed(f"wireguard: transport message of {len(datagram)} bytes")
    _, receiver, counter = TRANSPORT_HEADER.unpack_from(datagram)
    return Transport(receiver, counter, datagram[TRANSPORT_HEADER_SIZE:])


def _unpack(form: struct.Struct, datagram: bytes) -> tuple[Any, ...]:
    if len(datagram) != form.size:
        raise Malformed(f"wireguard: message {datagram[0]} of {len(datagram)} bytes")
    return form.unpack(datagram)
