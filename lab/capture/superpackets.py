"""A UDP super-packet, cut into its datagrams.

What a program sends in one call (UDP_SEGMENT) crosses a veth as one packet with one length, although each of
its datagrams is one of its own to whoever reads it: Wireshark would see the first one only. TCP's are left
as they are, for its reader puts the stream together in any case.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

GSO_UDP_L4 = 5  # VIRTIO_NET_HDR_GSO_UDP_L4
ECN = 0x80  # a flag beside the type
UDP_HEADER = 8
_ETHERTYPES = {b"\x08\x00": 4, b"\x86\xdd": 6}


def is_udp(gso_type: int) -> bool:
    return gso_type & ~ECN == GSO_UDP_L4


def datagrams(frame: bytes, size: int, has_ethernet: bool) -> Iterator[bytes]:
    """`size`: bytes of each datagram's payload but the last one's."""
    start = 14 if has_ethernet else 0
    version = _ETHERTYPES.get(frame[12:14], 0) if has_ethernet else frame[0] >> 4
    header = {4: (frame[start] & 15) * 4, 6: 40}.get(version)
    if header is None or size <= 0:  # not what it was said to be: as it is
        yield frame
        return
    payload = start + header + UDP_HEADER
    rewrite = _ipv4 if version == 4 else _ipv6
    for n, at in enumerate(range(payload, len(frame), size)):
        part = frame[at : at + size]
        yield frame[:start] + rewrite(frame[start:payload], len(part), n) + part


def _ipv4(head: bytes, size: int, n: int) -> bytes:
    own = len(head) - UDP_HEADER
    identification = (int.from_bytes(head[4:6], "big") + n) & 0xFFFF
    words = struct.pack("!HH", len(head) + size, identification)
    ip = head[:2] + words + head[6:10] + b"\0\0" + head[12:own]
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return ip + _udp(head[own:], size)


def _ipv6(head: bytes, size: int, _: int) -> bytes:
    return head[:4] + struct.pack("!H", UDP_HEADER + size) + head[6:40] + _udp(head[40:], size)


def _udp(head: bytes, size: int) -> bytes:
    """Without a checksum (RFC 768; RFC 6935 for tunnels over IPv6): the kernel had not made one yet."""
    return head[:4] + struct.pack("!HH", UDP_HEADER + size, 0)


def checksum(data: bytes) -> int:
    """RFC 1071, of an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
