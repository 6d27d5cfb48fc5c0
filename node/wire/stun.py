"""STUN (RFC 8489): which address and port does the far side see us come from?

    type 2 | length 2 | cookie 2112a442 | transaction ID 12 | attributes: type 2, length 2, value

A request carries SOFTWARE and, last, FINGERPRINT; the answer carries XOR-MAPPED-ADDRESS alone. The
servers of DERP relays are strict: they answer only SOFTWARE `tailnode` with a right FINGERPRINT at
the end, and stay silent to everything else.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from ipaddress import ip_address

from node.wire.endpoint import Endpoint
from node.wire.malformed import Malformed

HEADER_SIZE = 20
TXID_SIZE = 12
COOKIE = bytes.fromhex("2112a442")
REQUEST = b"\x00\x01"
RESPONSE = b"\x01\x01"

MAPPED_ADDRESS = 0x0001
XOR_MAPPED_ADDRESS = 0x0020
XOR_MAPPED_ADDRESS_OLD = 0x8020  # what servers of before RFC 5389 call it
SOFTWARE = 0x8022
FINGERPRINT = 0x8028
SOFTWARE_NAME = b"tailnode"
FINGERPRINT_XOR = 0x5354554E  # "STUN" (RFC 8489 §14.7)
FINGERPRINT_SIZE = 8

IPV4, IPV6 = 1, 2
ADDRESS_SIZES = {IPV4: 4, IPV6: 16}


def is_stun(datagram: bytes) -> bool:
    """RFC 8489 §5: two zero bits, then the cookie in its place."""
    return len(datagram) >= HEADER_SIZE and not datagram[0] & 0xC0 and datagram[4:8] == COOKIE


def request(txid: bytes) -> bytes:
    software = _attribute(SOFTWARE, SOFTWARE_NAME)
    covered = _header(REQUEST, txid, len(software) + FINGERPRINT_SIZE) + software
    return covered + _fingerprint(covered)


def response(txid: bytes, endpoint: Endpoint) -> bytes:
    """What a server answers to a request that came from `endpoint`."""
    address = ip_address(endpoint.address).packed
    family = IPV4 if len(address) == 4 else IPV6
    port = struct.pack(">H", endpoint.port)
    mask = COOKIE + txid
    value = bytes([0, family]) + _xor(port, mask) + _xor(address, mask)
    attribute = _attribute(XOR_MAPPED_ADDRESS, value)
    return _header(RESPONSE, txid, len(attribute)) + attribute


def parse_request(datagram: bytes, strict: bool = True) -> bytes:
    """The transaction ID of a binding request. `strict` as the relays are (module docstring)."""
    attributes = list(_attributes(datagram, REQUEST))
    if strict:
        if (SOFTWARE, SOFTWARE_NAME) not in [(kind, value) for kind, value, _ in attributes]:
            raise Malformed("stun: the request's SOFTWARE is not tailnode")
        kind, value, at = attributes[-1]
        if kind != FINGERPRINT or _attribute(kind, value) != _fingerprint(datagram[:at]):
            raise Malformed("stun: the request does not end with a right FINGERPRINT")
    return datagram[8:HEADER_SIZE]


def parse_response(datagram: bytes) -> tuple[bytes, Endpoint]:
    """The transaction ID, and where the server saw the request come from."""
    txid = datagram[8:HEADER_SIZE]
    plain: Endpoint | None = None
    for kind, value, _ in _attributes(datagram, RESPONSE):
        if kind in (XOR_MAPPED_ADDRESS, XOR_MAPPED_ADDRESS_OLD):
            return txid, _address(value, COOKIE + txid)
        if kind == MAPPED_ADDRESS:
            plain = _address(value, bytes(HEADER_SIZE - 4))
    if plain is None:
        raise Malformed("stun: the answer names no address")
    return txid, plain


def _header(kind: bytes, txid: bytes, length: int) -> bytes:
    return kind + struct.pack(">H", length) + COOKIE + txid


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _fingerprint(covered: bytes) -> bytes:
    return _attribute(FINGERPRINT, struct.pack(">I", zlib.crc32(covered) ^ FINGERPRINT_XOR))


def _attributes(datagram: bytes, expected: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Type, value and start of each attribute of a message of the expected type."""
    if not is_stun(datagram):
        raise Malformed("stun: not STUN")
    if datagram[:2] != expected:
        raise Malformed(f"stun: type {datagram[:2].hex()}, not {expected.hex()}")
    (length,) = struct.unpack_from(">H", datagram, 2)
    end = HEADER_SIZE + length
    if end > len(datagram):
        raise Malformed(f"stun: {len(datagram)} bytes, {end} announced")
    at = HEADER_SIZE
    while at + 4 <= end:
        kind, size = struct.unpack_from(">HH", datagram, at)
        if at + 4 + size > end:
            raise Malformed(f"stun: attribute {kind:#06x} is cut short")
        yield kind, datagram[at + 4 : at + 4 + size], at
        at += 4 + size + -size % 4


def _address(value: bytes, mask: bytes) -> Endpoint:
    if len(value) < 4 or len(value) - 4 != ADDRESS_SIZES.get(value[1]):
        raise Malformed("stun: an address of neither IPv4's nor IPv6's size")
    (port,) = struct.unpack(">H", _xor(value[2:4], mask))
    return Endpoint(str(ip_address(_xor(value[4:], mask))), port)


def _xor(data: bytes, mask: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, mask, strict=False))
