"""The few fields of an IP packet that a tunnel reads: addresses and length, IPv4 and IPv6.

Plain functions over `bytes`, because they run once a packet or once a run of packets.
    IPv4 (RFC 791)   length at 2..4 (whole packet), source 12..16, destination 16..20
    IPv6 (RFC 8200)  length at 4..6 (after the 40-byte header), source 8..24, destination 24..40
Addresses are returned packed: 4 or 16 bytes, which also tells the family.
"""

from __future__ import annotations

from node.wire.malformed import Malformed

IPV4_HEADER = 20
IPV6_HEADER = 40


def source(packet: bytes) -> bytes:
    return packet[12:16] if version(packet) == 4 else packet[8:24]


def destination(packet: bytes) -> bytes:
    return packet[16:20] if version(packet) == 4 else packet[24:40]


def length(packet: bytes) -> int:
    """The packet's own length: what follows it in a decrypted message is padding."""
    if version(packet) == 4:
        total = packet[2] << 8 | packet[3]
        minimum = IPV4_HEADER
    else:
        total = IPV6_HEADER + (packet[4] << 8 | packet[5])
        minimum = IPV6_HEADER
    if not minimum <= total <= len(packet):
        raise Malformed(f"ip: length {total} in a packet of {len(packet)} bytes")
    return total


def protocol(packet: bytes) -> int:
    """IPv4's protocol, IPv6's next header."""
    return packet[9] if version(packet) == 4 else packet[6]


def payload(packet: bytes) -> bytes:
    """What the IP header carries; IPv6 extension headers are not walked."""
    end = length(packet)
    return packet[(packet[0] & 15) * 4 : end] if version(packet) == 4 else packet[40:end]


def version(packet: bytes) -> int:
    """4 or 6, of a packet that has its whole fixed header."""
    size = len(packet)
    if size >= IPV4_HEADER and packet[0] >> 4 == 4:
        return 4
    if size >= IPV6_HEADER and packet[0] >> 4 == 6:
        return 6
    raise Malformed(f"ip: {size} bytes are neither an IPv4 nor an IPv6 packet")
