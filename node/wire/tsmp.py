"""TSMP: what two nodes say inside the tunnel, as IP packets of protocol 99.

    IP header (source and destination are the two overlay addresses) | 61 | disco public key 32

Disco keys are new at every start, so nobody can know them beforehand: right after a WireGuard
handshake each side tells the other its own, protected by the tunnel. Other TSMP messages exist
(`70` ping, `6f` pong, `21` rejected); a packet of protocol 99 never reaches the application.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, ip_address

from node.keys import KEY_SIZE, DiscoPublic
from node.wire.malformed import Malformed

TSMP_PROTOCOL = 99
DISCO_ADVERTISEMENT = 0x61

IPV4_HEADER = 20
IPV6_HEADER = 40
HOPS = 64


def is_tsmp(packet: bytes | bytearray | memoryview, start: int = 0) -> bool:
    """Of a packet whose IP header, which begins at `start`, is known to be whole."""
    return packet[start + (9 if packet[start] >> 4 == 4 else 6)] == TSMP_PROTOCOL


def pack_advertisement(key: DiscoPublic, source: str, destination: str) -> bytes:
    payload = bytes([DISCO_ADVERTISEMENT]) + key.raw
    sender, receiver = ip_address(source), ip_address(destination)
    if isinstance(sender, IPv4Address):
        return _ipv4_header(len(payload), sender.packed, receiver.packed) + payload
    head = struct.pack(">IHBB", 6 << 28, len(payload), TSMP_PROTOCOL, HOPS)
    return head + sender.packed + receiver.packed + payload


def parse_advertisement(packet: bytes) -> DiscoPublic | None:
    """The key; None when it is another, well-formed TSMP message."""
    payload = _payload(packet)
    if not payload:
        raise Malformed("TSMP: no payload")
    if payload[0] != DISCO_ADVERTISEMENT:
        return None
    if len(payload) < 1 + KEY_SIZE:
        raise Malformed(f"TSMP: a disco advertisement of {len(payload)} bytes, not {1 + KEY_SIZE}")
    return DiscoPublic(bytes(payload[1 : 1 + KEY_SIZE]))


def _payload(packet: bytes) -> bytes:
    if packet and packet[0] >> 4 == 6 and len(packet) >= IPV6_HEADER:
        start, protocol = IPV6_HEADER, packet[6]
    elif len(packet) >= IPV4_HEADER and packet[0] >> 4 == 4:
        start, protocol = (packet[0] & 15) * 4, packet[9]
    else:
        raise Malformed("TSMP: no IP header")
    if protocol != TSMP_PROTOCOL or start < IPV4_HEADER:
        raise Malformed(f"TSMP: IP protocol {protocol}, header of {start} bytes")
    return packet[start:]


def _ipv4_header(payload: int, source: bytes, destination: bytes) -> bytes:
    length = IPV4_HEADER + payload
    fields = struct.pack(">BBHHHBB", 0x45, 0, length, 0, 0, HOPS, TSMP_PROTOCOL)
    words = struct.unpack(">10H", fields + b"\0\0" + source + destination)
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return fields + struct.pack(">H", total ^ 0xFFFF) + source + destination
