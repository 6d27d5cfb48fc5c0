"""Complete IP packets to send through the data path, and the super-packets the kernel would make of them."""

from __future__ import annotations

import struct
from ipaddress import ip_address

from node.core.checksum import complement, ones_sum, pseudo_sum, udp_complement
from node.core.superpacket import TCP, UDP, SuperPacket
from node.wire.virtio import (
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP,
    NEEDS_CHECKSUM,
    VirtioHeader,
)

ACK, PSH, FIN, CWR = 0x10, 0x08, 0x01, 0x80
V4 = ("100.64.1.10", "100.64.2.20")
V6 = ("fd7a:115c:a1e0::a", "fd7a:115c:a1e0::b")
TIMESTAMPS = b"\1\1\x08\x0a\0\0\0\1\0\0\0\2"


def ip(protocol: int, body: bytes, *, is_ipv6: bool, identification: int = 0) -> bytearray:
    source, target = (ip_address(it).packed for it in (V6 if is_ipv6 else V4))
    if is_ipv6:
        head = struct.pack(">IHBB", 6 << 28, len(body), protocol, 64)
        return bytearray(head + source + target + body)
    front = struct.pack(
        ">BBHHHBBH", 0x45, 0, 20 + len(body), identification & 0xFFFF, 0x4000, 64, protocol, 0
    )
    out = bytearray(front + source + target + body)
    struct.pack_into(">H", out, 10, complement(ones_sum(out[:20])))
    return out


def tcp(
    payload: bytes,
    *,
    is_ipv6: bool = False,
    sequence: int = 1,
    flags: int = ACK,
    port: int = 40000,
    options: bytes = TIMESTAMPS,
    identification: int = 0,
    acknowledged: int = 7,
) -> bytes:
    words = 5 + len(options) // 4
    head = struct.pack(
        ">HHIIBBHHH", port, 5201, sequence % 2**32, acknowledged, words << 4, flags, 512, 0, 0
    )
    body = head + options + payload
    out = ip(TCP, body, is_ipv6=is_ipv6, identification=identification)
    at = len(out) - len(body)
    total = pseudo_sum(out, TCP, len(body)) + ones_sum(body)
    struct.pack_into(">H", out, at + 16, complement(total))
    return bytes(out)


def udp(
    payload: bytes, *, is_ipv6: bool = False, port: int = 40000, identification: int = 0
) -> bytes:
    body = struct.pack(">HHHH", port, 5201, 8 + len(payload), 0) + payload
    out = ip(UDP, body, is_ipv6=is_ipv6, identification=identification)
    at = len(out) - len(body)
    total = pseudo_sum(out, UDP, len(body)) + ones_sum(body)
    struct.pack_into(">H", out, at + 6, udp_complement(total))
    return bytes(out)


def unfinished(packet: bytes) -> SuperPacket:
    """As the kernel hands a TCP or UDP packet over: the checksum holds only the pseudo header."""
    at = 40 if packet[0] >> 4 == 6 else 20
    protocol = packet[6] if at == 40 else packet[9]
    offset = 16 if protocol == TCP else 6
    out = bytearray(packet)
    struct.pack_into(">H", out, at + offset, pseudo_sum(out, protocol, len(out) - at))
    header = VirtioHeader(NEEDS_CHECKSUM, checksum_start=at, checksum_offset=offset)
    return SuperPacket(header, memoryview(out))


def super_packet(packet: bytes, size: int) -> SuperPacket:
    """One long packet, to be cut into segments of `size` bytes."""
    [header, out] = unfinished(packet)
    is_tcp = header.checksum_offset == 16
    kind = GSO_UDP if not is_tcp else GSO_TCPV4 if packet[0] >> 4 == 4 else GSO_TCPV6
    return SuperPacket(header._replace(gso_type=kind, gso_size=size), out)
