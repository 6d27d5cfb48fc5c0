"""DERP frames: what a client and a relay say to each other once the upgrade is done.

A frame is `type 1 | length 4, big endian | payload`. Keys are 32 raw bytes.

    01 ServerKey      S>C  magic 8 | server key (| more, ignored): always the server's first frame
    02 ClientInfo     C>S  client key | nonce 24 | box(JSON): always the client's first frame
    03 ServerInfo     S>C  nonce 24 | box(JSON): the client is registered
    04 SendPacket     C>S  destination | packet
    05 RecvPacket     S>C  source | packet: as long as the SendPacket it came from
    06 KeepAlive      S>C  (empty), no reply
    07 NotePreferred  C>S  00 or 01: this relay is my home
    08 PeerGone       S>C  peer | reason (missing = disconnected)
    09 PeerPresent    S>watcher  peer (| IP 16 | port 2 (| flags 1))
    0a ForwardPacket  mesh S>S  source | destination | packet
    10 WatchConns     mesh C>S  (empty): tell me who comes and goes
    11 ClosePeer      mesh C>S  peer
    12 Ping           8 bytes (up to 1000, only the first 8 count)
    13 Pong           the 8 bytes
    14 Health         UTF-8 text of a problem; empty = well again
    15 Restarting     reconnect in, ms 4 | try for, ms 4

Types not listed are skipped whole. What is inside the boxes stands in `derp_login`.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import ClassVar, Self

from msgspec import Struct

from node.keys import KEY_SIZE, NodePublic
from node.wire.derp_framing import (
    CLIENT_INFO,
    CLOSE_PEER,
    FORWARD_PACKET,
    HEALTH,
    KEEP_ALIVE,
    MAGIC,
    MAX_CLIENT_INFO,
    MAX_PACKET,
    MAX_PING,
    NONCE_SIZE,
    NOTE_PREFERRED,
    PEER_GONE,
    PEER_PRESENT,
    PING,
    PING_SIZE,
    PONG,
    RECV_PACKET,
    RESTARTING,
    SEND_PACKET,
    SERVER_INFO,
    SERVER_KEY,
    WATCH_CONNS,
    pack_frame,
    packet_header,
)
from node.wire.endpoint import ENDPOINT_SIZE, Endpoint, pack_endpoint, unpack_endpoint
from node.wire.malformed import Malformed


class GoneReason(IntEnum):
    DISCONNECTED = 0x00  # was here, and left
    NOT_HERE = 0x01  # the relay does not know the key


class PeerFlag(IntFlag):
    REGULAR = 1
    MESH_PEER = 2
    PROBER = 4
    NOT_IDEAL = 8  # came here only because its first choice failed


def _exactly(payload: bytes, size: int, name: str) -> bytes:
    if len(payload) != size:
        raise Malformed(f"{name}: {len(payload)} bytes, not {size}")
    return payload


def _at_least(payload: bytes, size: int, name: str) -> bytes:
    if len(payload) < size:
        raise Malformed(f"{name}: {len(payload)} bytes, under {size}")
    return payload


def _packet(payload: bytes, start: int, name: str) -> bytes:
    packet = _at_least(payload, start, name)[start:]
    if len(packet) > MAX_PACKET:
        raise Malformed(f"{name}: a packet of {len(packet)} bytes, over {MAX_PACKET}")
    return packet


class ServerKey(Struct, frozen=True):
    """The server's first frame: who it is."""

    key: NodePublic
    kind: ClassVar[int] = SERVER_KEY

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        if _at_least(payload, 40, "ServerKey")[:8] != MAGIC:
            raise Malformed("ServerKey: no DERP magic")
        return cls(NodePublic(payload[8:40]))

    def pack(self) -> bytes:
        return pack_frame(self.kind, MAGIC + self.key.raw)


class ClientInfo(Struct, frozen=True):
    """The client's first frame: who it is, and in a box for the server what it is."""

    key: NodePublic
    sealed: bytes  # nonce and box
    kind: ClassVar[int] = CLIENT_INFO

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        if not KEY_SIZE + NONCE_SIZE <= len(payload) <= MAX_CLIENT_INFO:
            raise Malformed(f"ClientInfo: {len(payload)} bytes")
        return cls(NodePublic(payload[:KEY_SIZE]), payload[KEY_SIZE:])

    def pack(self) -> bytes:
        return pack_frame(self.kind, self.key.raw + self.sealed)


class ServerInfo(Struct, frozen=True):
    """The server's answer: the client is registered."""

    sealed: bytes  # nonce and box
    kind: ClassVar[int] = SERVER_INFO

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        return cls(_at_least(payload, NONCE_SIZE, "ServerInfo"))

    def pack(self) -> bytes:
        return pack_frame(self.kind, self.sealed)


class SendPacket(Struct, frozen=True):
    """A packet to be relayed."""

    destination: NodePublic
    packet: bytes
    kind: ClassVar[int] = SEND_PACKET

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        packet = _packet(payload, KEY_SIZE, "SendPacket")
        return cls(NodePublic(payload[:KEY_SIZE]), packet)

    def pack(self) -> bytes:
        return packet_header(self.kind, self.destination.raw, len(self.packet)) + self.packet


class RecvPacket(Struct, frozen=True):
    """The same packet where it arrives: the destination has made room for the source."""

    source: NodePublic
    packet: bytes
    kind: ClassVar[int] = RECV_PACKET

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        packet = _packet(payload, KEY_SIZE, "RecvPacket")
        return cls(NodePublic(payload[:KEY_SIZE]), packet)

    def pack(self) -> bytes:
        return packet_header(self.kind, self.source.raw, len(self.packet)) + self.packet


class ForwardPacket(Struct, frozen=True):
    """A packet between the relays of one region."""

    source: NodePublic
    destination: NodePublic
    packet: bytes
    kind: ClassVar[int] = FORWARD_PACKET

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        packet = _packet(payload, 2 * KEY_SIZE, "ForwardPacket")
        return cls(NodePublic(payload[:KEY_SIZE]), NodePublic(payload[KEY_SIZE:64]), packet)

    def pack(self) -> bytes:
        return pack_frame(self.kind, self.source.raw + self.destination.raw + self.packet)


class KeepAlive(Struct, frozen=True):
    """The server is there; nobody answers."""

    kind: ClassVar[int] = KEEP_ALIVE

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        return cls()

    def pack(self) -> bytes:
        return pack_frame(self.kind)


class NotePreferred(Struct, frozen=True):
    """Whether this relay is the client's home."""

    on: bool
    kind: ClassVar[int] = NOTE_PREFERRED

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        return cls(_exactly(payload, 1, "NotePreferred") != b"\x00")

    def pack(self) -> bytes:
        return pack_frame(self.kind, bytes([self.on]))


class PeerGone(Struct, frozen=True):
    """Packets to that peer are dropped here."""

    peer: NodePublic
    reason: int = GoneReason.DISCONNECTED
    kind: ClassVar[int] = PEER_GONE

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        peer = NodePublic(_at_least(payload, KEY_SIZE, "PeerGone")[:KEY_SIZE])
        return cls(peer, payload[KEY_SIZE] if len(payload) > KEY_SIZE else GoneReason.DISCONNECTED)

    def pack(self) -> bytes:
        return pack_frame(self.kind, self.peer.raw + bytes([self.reason]))


class PeerPresent(Struct, frozen=True):
    """To watchers: that peer is connected to this relay."""

    peer: NodePublic
    endpoint: Endpoint | None = None
    flags: int | None = None  # a sum of PeerFlag
    kind: ClassVar[int] = PEER_PRESENT

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        peer = NodePublic(_at_least(payload, KEY_SIZE, "PeerPresent")[:KEY_SIZE])
        flags_at = KEY_SIZE + ENDPOINT_SIZE
        if len(payload) < flags_at:
            return cls(peer)
        endpoint = unpack_endpoint(payload[KEY_SIZE:flags_at])
        return cls(peer, endpoint, payload[flags_at] if len(payload) > flags_at else None)

    def pack(self) -> bytes:
        payload = self.peer.raw
        if self.endpoint is not None:
            payload += pack_endpoint(self.endpoint)
            payload += b"" if self.flags is None else bytes([self.flags])
        return pack_frame(self.kind, payload)


class WatchConns(Struct, frozen=True):
    """A relay of the region wants to know who comes and goes."""

    kind: ClassVar[int] = WATCH_CONNS

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        _exactly(payload, 0, "WatchConns")
        return cls()

    def pack(self) -> bytes:
        return pack_frame(self.kind)


class ClosePeer(Struct, frozen=True):
    """A relay of the region asks that this client be disconnected."""

    peer: NodePublic
    kind: ClassVar[int] = CLOSE_PEER

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        return cls(NodePublic(_exactly(payload, KEY_SIZE, "ClosePeer")))

    def pack(self) -> bytes:
        return pack_frame(self.kind, self.peer.raw)


class Ping(Struct, frozen=True):
    """Either end may ask; up to 1000 bytes, of which the first 8 count."""

    data: bytes
    kind: ClassVar[int] = PING

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        if not PING_SIZE <= len(payload) <= MAX_PING:
            raise Malformed(f"Ping: {len(payload)} bytes, not {PING_SIZE} to {MAX_PING}")
        return cls(payload[:PING_SIZE])

    def pack(self) -> bytes:
        return pack_frame(self.kind, self.data)


class Pong(Struct, frozen=True):
    """The answer, with the 8 bytes of the ping."""

    data: bytes
    kind: ClassVar[int] = PONG

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        return cls(_at_least(payload, PING_SIZE, "Pong")[:PING_SIZE])

    def pack(self) -> bytes:
        return pack_frame(self.kind, self.data)


class Health(Struct, frozen=True):
    """What troubles the server, or nothing any more."""

    problem: str  # empty: well again
    kind: ClassVar[int] = HEALTH

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        return cls(payload.decode(errors="replace"))

    def pack(self) -> bytes:
        return pack_frame(self.kind, self.problem.encode())


class Restarting(Struct, frozen=True):
    """The server will be back: after how long to dial (s), and for how long to go on trying (s)."""

    reconnect_in: float  # seconds; milliseconds on the wire
    try_for: float
    kind: ClassVar[int] = RESTARTING

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        reconnect_in, try_for = struct.unpack(">II", _at_least(payload, 8, "Restarting")[:8])
        return cls(reconnect_in / 1000, try_for / 1000)

    def pack(self) -> bytes:
        times = struct.pack(">II", round(self.reconnect_in * 1000), round(self.try_for * 1000))
        return pack_frame(self.kind, times)


Frame = (
    ServerKey | ClientInfo | ServerInfo | SendPacket | RecvPacket | ForwardPacket | KeepAlive
    | NotePreferred | PeerGone | PeerPresent | WatchConns | ClosePeer | Ping | Pong | Health
    | Restarting
)  # fmt: skip

_PARSERS = {
    frame.kind: frame.parse
    for frame in (
        ServerKey, ClientInfo, ServerInfo, SendPacket, RecvPacket, ForwardPacket, KeepAlive,
        NotePreferred, PeerGone, PeerPresent, WatchConns, ClosePeer, Ping, Pong, Health, Restarting,
    )
}  # fmt: skip


def parse_frame(kind: int, payload: bytes) -> Frame | None:
    """None for a type from the future, which everybody skips."""
    parse = _PARSERS.get(kind)
    return None if parse is None else parse(payload)
