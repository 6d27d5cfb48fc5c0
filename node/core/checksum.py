"""The Internet checksum (RFC 1071), on whole integers.

65536 leaves 1 when divided by 65535, so the ones' complement sum of 16-bit words is the remainder of the
whole number: `int.from_bytes(data) % 65535`. The sum does not care for byte order (RFC 1071 §2.B).
"""

from __future__ import annotations

UDP_CHECKSUM_OFFSET = 6
TCP_CHECKSUM_OFFSET = 16
ONES = 0xFFFF

Buffer = bytes | bytearray | memoryview


def ones_sum(data: Buffer) -> int:
    """The sum modulo 65535 of big-endian words; an odd last byte counts as if a zero followed."""
    total = int.from_bytes(data, "big")
    return (total << 8 if len(data) & 1 else total) % ONES


def complement(total: int) -> int:
    """What to write so that the whole sums to zero; never 0xffff."""
    return -total % ONES


def udp_complement(total: int) -> int:
    """The same for UDP, where zero would mean "no checksum" (RFC 768)."""
    return ONES - total % ONES


def pseudo_sum(packet: Buffer, protocol: int, length: int) -> int:
    """Of the pseudo header (RFC 9293 §3.1, RFC 8200 §8.1); `length` counts the upper header and data."""
    addresses = packet[12:20] if packet[0] >> 4 == 4 else packet[8:40]
    return (ones_sum(addresses) + protocol + length) % ONES


def finish_checksum(packet: bytearray | memoryview, start: int, offset: int) -> None:
    """Do what NEEDS_CHECKSUM leaves undone; the field holds the pseudo header's sum."""
    total = ones_sum(packet[start:])
    value = udp_complement(total) if offset == UDP_CHECKSUM_OFFSET else complement(total)
    packet[start + offset : start + offset + 2] = value.to_bytes(2, "big")
