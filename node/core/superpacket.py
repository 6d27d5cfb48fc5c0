"""A super-packet: one read from the TUN interface, which the kernel left for us to cut up.

With segmentation offload a read gives up to 64 kB: one IP and TCP (or UDP) header and the payload of many
packets. `cut` says where to cut; `split` cuts in the plain way, packet for packet, and is the measure
for every faster way. A read that is an ordinary packet is a super-packet of one.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from msgspec import Struct

from node.core.checksum import (
    TCP_CHECKSUM_OFFSET,
    UDP_CHECKSUM_OFFSET,
    complement,
    finish_checksum,
    ones_sum,
    pseudo_sum,
    udp_complement,
)
from node.wire.malformed import Malformed
from node.wire.virtio import (
    GSO_ECN,
    GSO_NONE,
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP,
    NEEDS_CHECKSUM,
    PLAIN,
    VirtioHeader,
)

TCP = 6
UDP = 17
FIN, PSH, CWR = 0x01, 0x08, 0x80
TCP_FLAGS = 13  # offset in the TCP header
_VERSIONS = {GSO_TCPV4: (4,), GSO_TCPV6: (6,), GSO_UDP: (4, 6)}


class SuperPacket(NamedTuple):
    header: VirtioHeader
    packet: memoryview

    @property
    def is_ordinary(self) -> bool:
        return self.header.gso_type == GSO_NONE

    @property
    def destination(self) -> bytes:
        """For the allowed-IPs look-up; empty if this is no IP packet."""
        return destination(self.packet)


class Cut(Struct, frozen=True):
    """Where the headers end and how much payload goes into each segment but the last."""

    is_ipv6: bool
    protocol: int
    ip_length: int  # of the IP header with its options or extensions
    header_length: int
    segment: int
    count: int
    last: int


def ordinary(packet: bytes) -> SuperPacket:
    return SuperPacket(PLAIN, memoryview(packet))


def destination(packet: memoryview) -> bytes:
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return packet[16:20].tobytes()
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        return packet[24:40].tobytes()
    return b""


def cut(superpacket: SuperPacket) -> Cut:
    header, packet = superpacket
    kind = header.gso_type & ~GSO_ECN
    if kind not in _VERSIONS or len(packet) < 20 or packet[0] >> 4 not in _VERSIONS[kind]:
        raise Malformed(f"super-packet: GSO type {header.gso_type} does not fit the packet")
    is_ipv6, start = packet[0] >> 4 == 6, header.checksum_start
    if start < (40 if is_ipv6 else 20) or not header.gso_size:
        raise Malformed(f"super-packet: checksum start {start}, GSO size {header.gso_size}")
    protocol, header_length = UDP, start + 8
    if kind != GSO_UDP:
        protocol = TCP
        if len(packet) < start + 20 or packet[start + 12] >> 4 < 5:
            raise Malformed("super-packet: the TCP header is too short")
        header_length = start + (packet[start + 12] >> 4) * 4
    payload = len(packet) - header_length
    if payload <= 0:
        raise Malformed("super-packet: no payload")
    segment = min(header.gso_size, payload)
    count = -(-payload // segment)
    last = payload - (count - 1) * segment
    return Cut(is_ipv6, protocol, start, header_length, segment, count, last)


def split(superpacket: SuperPacket) -> list[bytes]:
    """Into ordinary packets, each complete with lengths, identification, sequence and checksums."""
    header, packet = superpacket
    if header.gso_type == GSO_NONE:
        return [finished(superpacket)]
    shape = cut(superpacket)
    return [_segment(packet, shape, i) for i in range(shape.count)]


def unfinished(superpacket: SuperPacket) -> tuple[bool, int, int]:
    """Whether an ordinary packet still needs its checksum: from where, and stored how far behind."""
    header, packet = superpacket
    if not header.flags & NEEDS_CHECKSUM:
        return False, 0, 0
    if header.checksum_start + header.checksum_offset + 2 > len(packet):
        raise Malformed(f"virtio header: checksum at {header.checksum_start}, beyond the packet")
    return True, header.checksum_start, header.checksum_offset


def finished(superpacket: SuperPacket) -> bytes:
    """An ordinary packet with its checksum."""
    packet = superpacket.packet
    is_unfinished, start, offset = unfinished(superpacket)
    if not is_unfinished:
        return packet.tobytes()
    out = bytearray(packet)
    finish_checksum(out, start, offset)
    return bytes(out)


def _segment(packet: memoryview, shape: Cut, i: int) -> bytes:
    begin = shape.header_length + i * shape.segment
    out = bytearray(packet[: shape.header_length]) + packet[begin : begin + shape.segment]
    is_last = i == shape.count - 1
    _write_ip(out, shape, i)
    if shape.protocol == TCP:
        _write_tcp(out, shape.ip_length, i * shape.segment, i == 0, is_last)
    else:
        _write_udp(out, shape.ip_length)
    return bytes(out)


def _write_ip(out: bytearray, shape: Cut, i: int) -> None:
    if shape.is_ipv6:
        struct.pack_into(">H", out, 4, len(out) - 40)
        return
    (identification,) = struct.unpack_from(">H", out, 4)
    struct.pack_into(">HH", out, 2, len(out), (identification + i) & 0xFFFF)
    out[10:12] = bytes(2)
    struct.pack_into(">H", out, 10, complement(ones_sum(out[: shape.ip_length])))


def _write_tcp(out: bytearray, start: int, ahead: int, is_first: bool, is_last: bool) -> None:
    (sequence,) = struct.unpack_from(">I", out, start + 4)
    struct.pack_into(">I", out, start + 4, (sequence + ahead) & 0xFFFFFFFF)
    out[start + TCP_FLAGS] &= tcp_flags_kept(is_first, is_last)
    at = start + TCP_CHECKSUM_OFFSET
    out[at : at + 2] = bytes(2)
    total = pseudo_sum(out, TCP, len(out) - start) + ones_sum(out[start:])
    struct.pack_into(">H", out, at, complement(total))


def tcp_flags_kept(is_first: bool, is_last: bool) -> int:
    """CWR belongs to the first segment only, FIN and PSH to the last."""
    return 0xFF & ~(0 if is_first else CWR) & ~(0 if is_last else FIN | PSH)


def _write_udp(out: bytearray, start: int) -> None:
    struct.pack_into(">HH", out, start + 4, len(out) - start, 0)
    total = pseudo_sum(out, UDP, len(out) - start) + ones_sum(out[start:])
    struct.pack_into(">H", out, start + UDP_CHECKSUM_OFFSET, udp_complement(total))
