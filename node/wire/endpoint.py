"""An endpoint: address and port.

On the wire of disco it has 18 bytes: the 16-byte IPv6 form (IPv4 as ::ffff:a.b.c.d), then the port,
big endian. It is a tuple that `socket.sendto` takes as it is, for both families.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from node.wire.malformed import Malformed

ENDPOINT_SIZE = 18
V4_MAPPED = bytes(10) + b"\xff\xff"


class Endpoint(NamedTuple):
    address: str  # canonical text, as ipaddress prints it; IPv4 is never v4-mapped
    port: int

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.address

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.is_ipv6 else f"{self.address}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """`203.0.113.9:41641` or `[2001:db8::9]:41641`."""
    address, colon, port = text.rpartition(":")
    try:
        if not colon or not 0 <= int(port) <= 0xFFFF:
            raise ValueError
        return Endpoint(str(ip_address(address.removeprefix("[").removesuffix("]"))), int(port))
    except ValueError:
        raise Malformed(f"endpoint: {text!r} is not ADDRESS:PORT") from None


def pack_endpoint(endpoint: Endpoint) -> bytes:
    address = ip_address(endpoint.address)
    raw = V4_MAPPED + address.packed if isinstance(address, IPv4Address) else address.packed
    return raw + struct.pack(">H", endpoint.port)


def unpack_endpoint(raw: bytes) -> Endpoint:
    if len(raw) != ENDPOINT_SIZE:
        raise Malformed(f"endpoint: {len(raw)} bytes, not {ENDPOINT_SIZE}")
    (port,) = struct.unpack_from(">H", raw, 16)
    if raw[:12] == V4_MAPPED:
        return Endpoint(str(IPv4Address(raw[12:16])), port)
    return Endpoint(str(IPv6Address(raw[:16])), port)
