"""Opened packets back into super-packets: what is written to the TUN interface, one call each.

Only neighbours merge, so cutting the writes up again gives the same packets in the same order. A packet that
fits nowhere, or whose checksums do not hold, is written alone and the kernel judges it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from node.core.checksum import (
    TCP_CHECKSUM_OFFSET,
    UDP_CHECKSUM_OFFSET,
    Buffer,
    complement,
    ones_sum,
    pseudo_sum,
)
from node.core.flow import Head, checksums_hold, follows, parse_head
from node.core.superpacket import PSH, TCP, TCP_FLAGS
from node.core.tun_features import TunFeatures
from node.wire.virtio import (
    GSO_TCPV4,
    GSO_TCPV6,
    GSO_UDP,
    NEEDS_CHECKSUM,
    PLAIN_BYTES,
    VIRTIO_SIZE,
    VirtioHeader,
    pack_virtio,
)

MAX_LENGTH = 65535  # what an IP header can say


def coalesce(packets: Iterable[memoryview], features: TunFeatures) -> list[Buffer]:
    """The writes for these packets, each of its exact length."""
    writes: list[Buffer] = []
    run: list[memoryview] = []
    heads: list[Head] = []
    for packet in packets:
        head = _mergeable(packet, features)
        if not (heads and head and follows(heads[0], heads[-1], head) and _fits(heads, head)):
            _flush(run, heads, features, writes)
            run, heads = [], []
        run.append(packet)
        if head:
            heads.append(head)
    _flush(run, heads, features, writes)
    return writes


def source_of(write: Buffer, features: TunFeatures) -> bytes:
    """The one source address of all packets in a write, for the allowed-IPs check."""
    at = VIRTIO_SIZE if features.virtio else 0
    first, length = (12, 4) if write[at] >> 4 == 4 else (8, 16)
    return bytes(write[at + first : at + first + length])


def _mergeable(packet: memoryview, features: TunFeatures) -> Head | None:
    head = parse_head(packet)
    if head and features.merges(head) and checksums_hold(packet, head):
        return head
    return None


def _fits(heads: Sequence[Head], head: Head) -> bool:
    first = heads[0]
    payload = first.length - first.header_length
    return first.length + payload * len(heads) <= MAX_LENGTH


def _flush(
    run: Sequence[memoryview], heads: Sequence[Head], features: TunFeatures, writes: list[Buffer]
) -> None:
    if len(run) > 1:
        last = heads[-1]
        length = heads[0].length * (len(run) - 1) + last.length
        length -= heads[0].header_length * (len(run) - 1)
        front = merged_front(run[0], heads[0], length, last.pushed)
        skip = heads[0].header_length
        writes.append(b"".join([front, *(packet[skip:] for packet in run)]))
    elif run:
        writes.append(PLAIN_BYTES + bytes(run[0]) if features.virtio else run[0])


def merged_front(first: memoryview, head: Head, length: int, pushed: bool) -> bytearray:
    """The virtio header and the headers of a super-packet of `length` bytes."""
    at = head.ip_length
    out = bytearray(first[: head.header_length])
    if at == 20:
        struct.pack_into(">H", out, 2, length)
        out[10:12] = bytes(2)
        struct.pack_into(">H", out, 10, complement(ones_sum(out[:20])))
    else:
        struct.pack_into(">H", out, 4, length - 40)
    if head.protocol == TCP:
        kind, offset = GSO_TCPV4 if at == 20 else GSO_TCPV6, TCP_CHECKSUM_OFFSET
        out[at + TCP_FLAGS] |= PSH if pushed else 0
    else:
        kind, offset = GSO_UDP, UDP_CHECKSUM_OFFSET
        struct.pack_into(">H", out, at + 4, length - at)
    struct.pack_into(">H", out, at + offset, pseudo_sum(out, head.protocol, length - at))
    size = head.length - head.header_length
    virtio = VirtioHeader(NEEDS_CHECKSUM, kind, head.header_length, size, at, offset)
    out[:0] = pack_virtio(virtio)
    return out
