"""NAT-PMP (RFC 6886): asking the router for a port, in 2 or 12 bytes of UDP to its port 5351.

    request:  version 0 | opcode | reserved 2, internal port 2, wanted external port 2, lifetime 4
    answer:   version 0 | opcode + 128 | result 2 | epoch 4 | address 4, or ports 2 + 2, lifetime 4

Opcode 0 asks for the external address and has nothing after the opcode; opcode 1 maps a UDP port. The
epoch is the seconds that the router has kept its mappings for: when it falls, they are lost.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address

from msgspec import Struct

from node.wire.malformed import Malformed

PORT = 5351
VERSION = 0
ADDRESS, MAP_UDP, ANSWER = 0, 1, 128

MAP_REQUEST = struct.Struct(">BBHHHI")
HEAD = struct.Struct(">BBHI")
ADDRESS_ANSWER = struct.Struct(">BBHI4s")
MAP_ANSWER = struct.Struct(">BBHIHHI")

SUCCESS = 0
RESULTS = {  # RFC 6886 §3.5
    1: "the router does not speak this version",
    2: "the router is told not to map ports",
    3: "the router has no address on the internet itself",
    4: "the router has no port left",
    5: "the router cannot map UDP ports",
}
LIFETIME = 7200  # seconds to ask for (RFC 6886 §3.3)


class AddressAnswer(Struct, frozen=True):
    """The gateway's external address (RFC 6886 §3.2); `epoch` in seconds."""

    result: int
    epoch: int
    address: str  # means something with SUCCESS only


class MapAnswer(Struct, frozen=True):
    """A mapping, or why there is none (RFC 6886 §3.3); times in seconds."""

    result: int
    epoch: int
    internal_port: int
    external_port: int
    lifetime: int


def address_request() -> bytes:
    return bytes([VERSION, ADDRESS])


def map_request(internal_port: int, external_port: int, lifetime: int) -> bytes:
    """The external port is a wish; lifetime 0 deletes the mapping (§3.4)."""
    return MAP_REQUEST.pack(VERSION, MAP_UDP, 0, internal_port, external_port, lifetime)


def parse_answer(datagram: bytes) -> AddressAnswer | MapAnswer:
    if len(datagram) < HEAD.size or datagram[0] != VERSION:
        raise Malformed("nat-pmp: not a NAT-PMP answer")
    _, opcode, result, epoch = HEAD.unpack_from(datagram)
    if opcode == ANSWER | ADDRESS:
        _check_size(datagram, ADDRESS_ANSWER, result)
        address = datagram[HEAD.size : ADDRESS_ANSWER.size].ljust(4, b"\0")
        return AddressAnswer(result, epoch, str(IPv4Address(address)))
    if opcode == ANSWER | MAP_UDP:
        _check_size(datagram, MAP_ANSWER, result)
        rest = datagram[HEAD.size : MAP_ANSWER.size].ljust(8, b"\0")
        return MapAnswer(result, epoch, *struct.unpack(">HHI", rest))
    raise Malformed(f"nat-pmp: opcode {opcode} is no answer of ours")


def _check_size(datagram: bytes, shape: struct.Struct, result: int) -> None:
    """Some routers cut an answer that says no after its first 8 bytes."""
    if result == SUCCESS and len(datagram) < shape.size:
        raise Malformed(f"nat-pmp: {len(datagram)} bytes, not {shape.size}")
