"""disco: how two nodes find a direct path, over UDP or through a relay.

A packet is sealed from one disco key to another (78 bytes more than its body):

    magic 6 | sender's disco public 32 | nonce 24 | crypto_box(body): tag 16, then the body

    body = type 1 | version 1 (00) | payload

    01 Ping         txid 12 [| sender's node public 32] | zero padding (to probe the path's MTU)
    02 Pong         txid 12 | endpoint 18: where the ping was seen to come from
    03 CallMeMaybe  n x endpoint 18: "ping me at these, I am pinging you now"; only by the relay
    04..06          Bind, Challenge, Answer: the handshake with a peer relay
    07..09          CallMeMaybeVia, AllocateRequest, AllocateResponse: about a peer relay, by DERP

There is no replay window: a pong is believed because its 12-byte txid answers an outstanding ping.
Trailing bytes are ignored, except in 07 and 09, where the endpoints must fill the message exactly.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from msgspec import Struct

from node.keys import KEY_SIZE, DiscoPublic, NodePublic
from node.wire.endpoint import ENDPOINT_SIZE, Endpoint, pack_endpoint, unpack_endpoint
from node.wire.malformed import Malformed

MAGIC = bytes.fromhex("5453f09f92ac")
NONCE_SIZE = 24
TAG_SIZE = 16
TXID_SIZE = 12
OVERHEAD = len(MAGIC) + KEY_SIZE + NONCE_SIZE + TAG_SIZE
_NONCE_AT = len(MAGIC) + KEY_SIZE
_BOX_AT = _NONCE_AT + NONCE_SIZE
BODY_HEADER_SIZE = 2
PING_SIZE = OVERHEAD + BODY_HEADER_SIZE + TXID_SIZE + KEY_SIZE  # a ping without padding
VERSION = 0


class Ping(Struct, frozen=True):
    """Is this a way to you? The padding makes it as large as data."""

    txid: bytes
    node_key: NodePublic | None = None
    padding: int = 0

    @classmethod
    def of_size(cls, txid: bytes, node_key: NodePublic, size: int) -> Ping:
        """A ping whose whole UDP payload has `size` bytes, or as few as it can."""
        return cls(txid, node_key, max(0, size - PING_SIZE))

    def payload(self) -> bytes:
        return self.txid + (self.node_key.raw if self.node_key else b"") + bytes(self.padding)


class Pong(Struct, frozen=True):
    """It is, and so I saw you."""

    txid: bytes
    source: Endpoint

    def payload(self) -> bytes:
        return self.txid + pack_endpoint(self.source)


class CallMeMaybe(Struct, frozen=True):
    """I have pinged you from these: ping me there."""

    endpoints: tuple[Endpoint, ...] = ()

    def payload(self) -> bytes:
        return b"".join(map(pack_endpoint, self.endpoints))


class _Binding(Struct, frozen=True):
    """One step of the three by which a peer relay learns where an end is."""

    vni: int
    generation: int
    remote: DiscoPublic  # the other client's
    challenge: bytes = bytes(32)

    def payload(self) -> bytes:
        numbers = struct.pack(">II", self.vni, self.generation)
        return numbers + self.remote.raw + self.challenge


class Bind(_Binding, frozen=True):
    """To the peer relay: I want my side of this endpoint."""


class Challenge(_Binding, frozen=True):
    """From the peer relay: prove that you receive where you send from."""


class Answer(_Binding, frozen=True):
    """To the peer relay: the challenge, echoed."""


class RelayEndpoint(Struct, frozen=True):
    """What a peer relay has allotted to two clients."""

    server: DiscoPublic
    clients: tuple[DiscoPublic, DiscoPublic]
    lamport_id: int
    vni: int
    bind_lifetime: int  # nanoseconds, as on the wire
    steady_lifetime: int
    addresses: tuple[Endpoint, ...]

    def pack(self) -> bytes:
        keys = self.server.raw + self.clients[0].raw + self.clients[1].raw
        lifetimes = (self.bind_lifetime, self.steady_lifetime)
        numbers = struct.pack(">QIQQ", self.lamport_id, self.vni, *lifetimes)
        return keys + numbers + b"".join(map(pack_endpoint, self.addresses))


class CallMeMaybeVia(Struct, frozen=True):
    """Meet me at that peer relay's endpoint."""

    endpoint: RelayEndpoint

    def payload(self) -> bytes:
        return self.endpoint.pack()


class AllocateRequest(Struct, frozen=True):
    """To a peer relay: an endpoint for these two."""

    clients: tuple[DiscoPublic, DiscoPublic]  # in ascending byte order
    generation: int

    def payload(self) -> bytes:
        return self.clients[0].raw + self.clients[1].raw + struct.pack(">I", self.generation)


class AllocateResponse(Struct, frozen=True):
    """From a peer relay: there it is."""

    generation: int
    endpoint: RelayEndpoint

    def payload(self) -> bytes:
        return struct.pack(">I", self.generation) + self.endpoint.pack()


Message = (
    Ping
    | Pong
    | CallMeMaybe
    | Bind
    | Challenge
    | Answer
    | CallMeMaybeVia
    | AllocateRequest
    | AllocateResponse
)


def pack_body(message: Message) -> bytes:
    return bytes([_TYPES[type(message)], VERSION]) + message.payload()


def parse_body(body: bytes) -> Message:
    if len(body) < BODY_HEADER_SIZE:
        raise Malformed(f"disco: a body of {len(body)} bytes")
    parse = _PARSERS.get(body[0])
    if parse is None or body[1] != VERSION:
        raise Malformed(f"disco: unknown type {body[0]} version {body[1]}")
    return parse(body[BODY_HEADER_SIZE:])


def pack_packet(sender: DiscoPublic, nonce: bytes, box: bytes) -> bytes:
    return MAGIC + sender.raw + nonce + box


def parse_packet(packet: bytes) -> tuple[DiscoPublic, bytes, bytes]:
    """Sender, nonce and box, so that the sender can be looked up before anything is opened."""
    if not packet.startswith(MAGIC):
        raise Malformed("disco: the magic is missing")
    if len(packet) < OVERHEAD:
        raise Malformed(f"disco: {len(packet)} bytes, fewer than {OVERHEAD}")
    return (
        DiscoPublic(packet[len(MAGIC) : _NONCE_AT]),
        packet[_NONCE_AT:_BOX_AT],
        packet[_BOX_AT:],
    )


def looks_like_disco(datagram: bytes) -> bool:
    """Magic and a sender's key; whether the rest opens is found out later."""
    return len(datagram) >= _NONCE_AT and datagram.startswith(MAGIC)


def _need(payload: bytes, size: int, name: str) -> None:
    if len(payload) < size:
        raise Malformed(f"disco {name}: {len(payload)} bytes, fewer than {size}")


def _parse_ping(payload: bytes) -> Ping:
    _need(payload, TXID_SIZE, "ping")
    txid, rest = payload[:TXID_SIZE], payload[TXID_SIZE:]
    if len(rest) < KEY_SIZE:  # very old clients do not say who they are
        return Ping(txid, None, len(rest))
    return Ping(txid, NodePublic(rest[:KEY_SIZE]), len(rest) - KEY_SIZE)


def _parse_pong(payload: bytes) -> Pong:
    size = TXID_SIZE + ENDPOINT_SIZE
    _need(payload, size, "pong")
    return Pong(payload[:TXID_SIZE], unpack_endpoint(payload[TXID_SIZE:size]))


def _parse_call_me_maybe(payload: bytes) -> CallMeMaybe:
    if len(payload) % ENDPOINT_SIZE:
        return CallMeMaybe()  # deliberately lax: a later version may say more than we can read
    return CallMeMaybe(_endpoints(payload))


def _endpoints(raw: bytes) -> tuple[Endpoint, ...]:
    starts = range(0, len(raw), ENDPOINT_SIZE)
    return tuple(unpack_endpoint(raw[at : at + ENDPOINT_SIZE]) for at in starts)


def _parse_binding(
    kind: type[Bind] | type[Challenge] | type[Answer],
) -> Callable[[bytes], Message]:
    def parse(payload: bytes) -> Message:
        _need(payload, 72, "bind")
        vni, generation = struct.unpack_from(">II", payload)
        return kind(vni, generation, DiscoPublic(payload[8:40]), payload[40:72])

    return parse


def _parse_relay_endpoint(raw: bytes) -> RelayEndpoint:
    _need(raw, 124 + ENDPOINT_SIZE, "relay endpoint")
    if (len(raw) - 124) % ENDPOINT_SIZE:
        raise Malformed(f"disco relay endpoint: {len(raw)} bytes do not end with an endpoint")
    server, one, other = (DiscoPublic(raw[at : at + KEY_SIZE]) for at in (0, 32, 64))
    lamport_id, vni, bind, steady = struct.unpack_from(">QIQQ", raw, 96)
    addresses = _endpoints(raw[124:])
    return RelayEndpoint(server, (one, other), lamport_id, vni, bind, steady, addresses)


def _parse_via(payload: bytes) -> CallMeMaybeVia:
    return CallMeMaybeVia(_parse_relay_endpoint(payload))


def _parse_allocate_request(payload: bytes) -> AllocateRequest:
    _need(payload, 68, "allocate request")
    (generation,) = struct.unpack_from(">I", payload, 64)
    return AllocateRequest((DiscoPublic(payload[:32]), DiscoPublic(payload[32:64])), generation)


def _parse_allocate_response(payload: bytes) -> AllocateResponse:
    _need(payload, 4, "allocate response")
    (generation,) = struct.unpack_from(">I", payload)
    return AllocateResponse(generation, _parse_relay_endpoint(payload[4:]))


_PARSERS: dict[int, Callable[[bytes], Message]] = {
    1: _parse_ping,
    2: _parse_pong,
    3: _parse_call_me_maybe,
    4: _parse_binding(Bind),
    5: _parse_binding(Challenge),
    6: _parse_binding(Answer),
    7: _parse_via,
    8: _parse_allocate_request,
    9: _parse_allocate_response,
}
_TYPES: dict[type[Message], int] = {
    Ping: 1,
    Pong: 2,
    CallMeMaybe: 3,
    Bind: 4,
    Challenge: 5,
    Answer: 6,
    CallMeMaybeVia: 7,
    AllocateRequest: 8,
    AllocateResponse: 9,
}
