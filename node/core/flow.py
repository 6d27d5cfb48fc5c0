"""Which packets follow one another closely enough to be handed to the kernel as one super-packet.

Two neighbours merge when all of their headers agree but for the fields that segmentation itself writes:
lengths, the IPv4 identification, checksums, the TCP sequence and PSH. Only plain TCP data (ACK, perhaps PSH
on the last) and UDP datagrams with a checksum merge; IPv4 options, fragments, IPv6 extensions and
packets that may be fragmented (for them the identification has a meaning, RFC 6864 §4) stay alone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from node.core.checksum import ONES, Buffer, ones_sum, pseudo_sum
from node.core.superpacket import PSH, TCP, TCP_FLAGS, UDP

ACK = 0x10
DONT_FRAGMENT = 0x40


class Head(NamedTuple):
    """What a packet that could be part of a super-packet says of itself."""

    flow: int  # the header's unchanging part: equal means the same flow and the same state of it
    protocol: int
    ip_length: int
    header_length: int
    length: int  # of the whole packet, without padding
    sequence: int  # TCP's; 0 for UDP
    pushed: bool


def packet_length(packet: memoryview) -> int:
    """From the IP header; 0 when it is none or longer than what is there."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        length = packet[2] << 8 | packet[3]
        least = 20
    elif len(packet) >= 40 and packet[0] >> 4 == 6:
        length = (packet[4] << 8 | packet[5]) + 40
        least = 40
    else:
        return 0
    return length if least <= length <= len(packet) else 0


def parse_head(packet: memoryview) -> Head | None:
    length = packet_length(packet)
    if not length:
        return None
    if packet[0] == 0x45:
        ip_length, protocol = 20, packet[9]
        if packet[6] != DONT_FRAGMENT or packet[7]:
            return None
    elif packet[0] >> 4 == 6:
        ip_length, protocol = 40, packet[6]
    else:
        return None
    if protocol == TCP:
        return _tcp_head(packet, ip_length, length)
    if protocol == UDP:
        return _udp_head(packet, ip_length, length)
    return None


def _tcp_head(packet: memoryview, at: int, length: int) -> Head | None:
    if length < at + 20:
        return None
    header_length, flags = at + (packet[at + 12] >> 4) * 4, packet[at + TCP_FLAGS]
    if not at + 20 <= header_length < length or flags & ~PSH != ACK:
        return None
    mask = int.from_bytes(flow_mask(at == 40, TCP, header_length), "big")
    flow = int.from_bytes(packet[:header_length], "big") & mask
    sequence = int.from_bytes(packet[at + 4 : at + 8], "big")
    return Head(flow, TCP, at, header_length, length, sequence, flags != ACK)


def _udp_head(packet: memoryview, at: int, length: int) -> Head | None:
    if length <= at + 8 or (packet[at + 4] << 8 | packet[at + 5]) != length - at:
        return None
    if not any(packet[at + 6 : at + 8]):
        return None
    mask = int.from_bytes(flow_mask(at == 40, UDP, at + 8), "big")
    flow = int.from_bytes(packet[: at + 8], "big") & mask
    return Head(flow, UDP, at, at + 8, length, 0, False)


@lru_cache(maxsize=64)
def flow_mask(is_ipv6: bool, protocol: int, header_length: int) -> bytes:
    """Ones where neighbours must agree."""
    mask = bytearray(b"\xff" * header_length)
    at = 40 if is_ipv6 else 20
    if is_ipv6:
        mask[4:6] = bytes(2)
    else:
        mask[2:6] = bytes(4)
        mask[10:12] = bytes(2)
    if protocol == TCP:
        mask[at + 4 : at + 8] = bytes(4)
        mask[at + TCP_FLAGS] = 0xFF & ~PSH
        mask[at + 16 : at + 18] = bytes(2)
    else:
        mask[at + 4 : at + 8] = bytes(4)
    return bytes(mask)


def follows(first: Head, before: Head, this: Head) -> bool:
    """May `this` join the run of `first` that `before` ends so far?"""
    return (
        this.flow == first.flow
        and before.length == first.length
        and this.length <= first.length
        and not before.pushed
        and (this.protocol == UDP or this.sequence == _next_sequence(before))
    )


def _next_sequence(head: Head) -> int:
    return (head.sequence + head.length - head.header_length) & 0xFFFFFFFF


def checksums_hold(packet: Buffer, head: Head) -> bool:
    """The kernel trusts a super-packet's checksums, so whoever builds one has to look."""
    if head.ip_length == 20 and ones_sum(packet[:20]):
        return False
    at = head.ip_length
    pseudo = pseudo_sum(packet, head.protocol, head.length - at)
    return (pseudo + ones_sum(packet[at : head.length])) % ONES == 0
