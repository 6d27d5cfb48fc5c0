"""PCP (RFC 6887): NAT-PMP's successor, on the same port of the router.

    request: version 2 | opcode | reserved 2 | lifetime 4 | our address 16
    answer:  version 2 | opcode + 128 | reserved 1 | result 1 | lifetime 4 | epoch 4 | reserved 12
    MAP, in both: nonce 12 | protocol 1 | reserved 3 | internal port 2 | external port 2 | address 16

Addresses have the 16-byte IPv6 form. The nonce is the mapping's: only who knows it may renew it.
ANNOUNCE is a head alone; the router multicasts one as an answer when it has lost its mappings (§14.1).
"""

from __future__ import annotations

import struct

from msgspec import Struct

from node.wire.endpoint import Endpoint, pack_endpoint, unpack_endpoint
from node.wire.malformed import Malformed

PORT = 5351
VERSION = 2
ANNOUNCE, MAP, ANSWER = 0, 1, 128
UDP = 17
NONCE_SIZE = 12
LARGEST = 1100  # §7: no message is longer

HEAD_SIZE = 24
REQUEST_HEAD = struct.Struct(">BBHI16s")
ANSWER_HEAD = struct.Struct(">BBxBII12x")
MAP_BODY = struct.Struct(">12sB3xHH16s")

SUCCESS = 0
RESULTS = {  # §7.4
    1: "the router does not speak this version",
    2: "the router is told not to map ports",
    3: "the router does not understand the request",
    4: "the router does not know this request",
    5: "the router does not know an option",
    6: "the router does not understand an option",
    7: "the router has no address on the internet itself",
    8: "the router has nothing to map with: no port left, or its own address is not public",
    9: "the router cannot map UDP ports",
    10: "this host has mapped too many ports",
    11: "the router cannot give that external port",
    12: "there is another NAT between the router and us",
    13: "the mapping names too many remote peers",
}


class Announcement(Struct, frozen=True):
    """The server has restarted (RFC 6887 §14.1)."""

    result: int
    epoch: int


class MapAnswer(Struct, frozen=True):
    """A mapping, or why there is none (RFC 6887 §11.1); times in seconds."""

    result: int
    epoch: int
    lifetime: int  # of the mapping, or of the error
    nonce: bytes
    internal_port: int
    external: Endpoint


def announce_request(own: str) -> bytes:
    return REQUEST_HEAD.pack(VERSION, ANNOUNCE, 0, 0, _address(own))


def map_request(own: Endpoint, nonce: bytes, wanted: Endpoint, lifetime: int) -> bytes:
    """`wanted` is a wish, all zero for none; lifetime 0 deletes the mapping (§15)."""
    head = REQUEST_HEAD.pack(VERSION, MAP, 0, lifetime, _address(own.address))
    return head + MAP_BODY.pack(nonce, UDP, own.port, wanted.port, _address(wanted.address))


def parse_answer(datagram: bytes) -> Announcement | MapAnswer:
    if not HEAD_SIZE <= len(datagram) <= LARGEST or datagram[0] != VERSION:
        raise Malformed("pcp: not a PCP answer")
    _, opcode, result, lifetime, epoch = ANSWER_HEAD.unpack_from(datagram)
    if opcode == ANSWER | ANNOUNCE:
        return Announcement(result, epoch)
    if opcode != ANSWER | MAP:
        raise Malformed(f"pcp: opcode {opcode} is no answer of ours")
    if len(datagram) < HEAD_SIZE + MAP_BODY.size:
        raise Malformed(f"pcp: {len(datagram)} bytes, not {HEAD_SIZE + MAP_BODY.size}")
    nonce, protocol, internal, port, address = MAP_BODY.unpack_from(datagram, HEAD_SIZE)
    if protocol != UDP:
        raise Malformed(f"pcp: protocol {protocol}, not UDP")
    external = unpack_endpoint(address + struct.pack(">H", port))
    return MapAnswer(result, epoch, lifetime, nonce, internal, external)


def _address(text: str) -> bytes:
    return pack_endpoint(Endpoint(text, 0))[:16]
