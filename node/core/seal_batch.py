"""Sealing on columns: numpy writes one field of all rows at once; only the cipher goes row by row.

A super-packet's header is laid into every row, its payload into the rows by one two-dimensional copy, then
lengths, identification, sequence, flags and checksums as columns. The nonce is 4 zero bytes and the
counter, and in a row the counter stands behind the receiver index: so the index is left zero until the
row is sealed, and the row is its own nonce. Views of one shape are made once and kept.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.core.checksum import ONES, TCP_CHECKSUM_OFFSET, UDP_CHECKSUM_OFFSET, ones_sum
from node.core.libsodium import encrypt, ffi
from node.core.rows import HEADER, OVERHEAD, TRANSPORT, Rows, padded, sends
from node.core.superpacket import (
    TCP,
    TCP_FLAGS,
    Cut,
    SuperPacket,
    split,
    tcp_flags_kept,
)
from node.wire.virtio import NEEDS_CHECKSUM

CAPACITY = 256 * 1024  # 64 kB in segments of 100 bytes still fits
MAX_SHAPES = 512  # kept at a time; a busy flow needs a handful
_HEAD = struct.Struct("<IIQ")
_NULL = ffi.NULL if ffi else None

Bytes = NDArray[np.uint8]


class Shape:
    """Views of the first `count` rows of `size` bytes."""

    __slots__ = ("counters", "heads", "nonces", "plain", "rows", "steps", "texts")

    def __init__(self, buffer: Bytes, pointer: Any, size: int, count: int) -> None:
        self.rows: Bytes = buffer[: count * size].reshape(count, size)
        self.plain = self.rows[:, HEADER : size - HEADER]
        heads = self.rows[:, :HEADER].view("<u8")
        self.heads, self.counters = heads[:, 0], heads[:, 1]
        self.steps = np.arange(count, dtype=np.int64)
        self.texts = [pointer + at + HEADER for at in range(0, count * size, size)]
        self.nonces = [pointer + at + 4 for at in range(0, count * size, size)]


class SegmentShape:
    """The columns of a cut super-packet in the rows of a shape."""

    __slots__ = (
        "full_ip",
        "header",
        "identifications",
        "ip_checksums",
        "padding",
        "payload",
        "sequence_steps",
        "sequences",
        "sums",
        "upper_checksums",
    )

    def __init__(self, shape: Shape, what: Cut) -> None:
        plain, at, end = shape.plain, what.ip_length, what.header_length + what.segment
        even = end + (end - at & 1)  # a sum of words may reach a byte behind the packet
        self.header = plain[:, : what.header_length]
        self.payload = plain[:, what.header_length : end]
        pad = max(even, plain.shape[1])
        self.padding = shape.rows[:, HEADER + end : HEADER + pad] if pad > end else None
        self.sums = shape.rows[:, HEADER + at : HEADER + even]
        self.identifications = plain[:, 4:6].view(">u2")[:, 0]
        self.ip_checksums = plain[:, 10:12].view(">u2")[:, 0]
        offset = at + (TCP_CHECKSUM_OFFSET if what.protocol == TCP else UDP_CHECKSUM_OFFSET)
        self.upper_checksums = plain[:, offset : offset + 2].view("<u2")[:, 0]
        self.sequences = plain[:, at + 4 : at + 8].view(">u4")[:, 0]
        self.sequence_steps = shape.steps * what.segment


class BatchSealer:
    def __init__(self, mtu: int) -> None:
        self._mtu = mtu
        self._buffer = bytearray(CAPACITY)
        self._bytes: Bytes = np.frombuffer(self._buffer, np.uint8)
        self._owner = ffi.from_buffer("unsigned char[]", self._buffer)
        self._pointer = self._owner + 0
        self._shapes: dict[tuple[int, int], Shape] = {}
        self._segment_shapes: dict[tuple[int, ...], SegmentShape] = {}

    def fits(self, what: Cut) -> bool:
        return what.count * (padded(what.header_length + what.segment, self._mtu) + OVERHEAD) <= (
            CAPACITY - HEADER
        )

    def seal_superpacket(
        self, key: bytes, receiver: int, counter: int, packet: memoryview, what: Cut
    ) -> list[Rows]:
        """Cut, finish and seal; it must fit."""
        length = what.header_length + what.segment
        text = padded(length, self._mtu)
        shape = self._shape(text + OVERHEAD, what.count)
        columns = self._columns(shape, what)
        self._lay(packet, what, columns, text + OVERHEAD)
        last = padded(what.header_length + what.last, self._mtu)
        return self._seal(key, receiver, counter, shape, what.count, text, last)

    def _lay(self, packet: memoryview, what: Cut, columns: SegmentShape, size: int) -> None:
        front, full = what.header_length, what.count - 1
        source = np.frombuffer(packet, np.uint8)
        columns.header[:] = np.frombuffer(self._template(packet, what), np.uint8)
        end = front + full * what.segment
        columns.payload[:full] = source[front:end].reshape(full, what.segment)
        columns.payload[full, : what.last] = source[end:]
        if columns.padding is not None:
            columns.padding[:] = 0
        begin = full * size + HEADER
        if what.last < what.segment:
            self._shorten_last(begin, what, size)
        if not what.is_ipv6:
            self._identify(packet, what, columns)
        if what.protocol == TCP:
            (sequence,) = struct.unpack_from(">I", packet, what.ip_length + 4)
            columns.sequences[:] = columns.sequence_steps + sequence
            flags = packet[what.ip_length + TCP_FLAGS]
            at = HEADER + what.ip_length + TCP_FLAGS
            self._buffer[at] = flags & tcp_flags_kept(True, full == 0)
            if full:
                self._buffer[at + full * size] = flags & tcp_flags_kept(False, True)
        self._sum(packet, what, columns)

    def _template(self, packet: memoryview, what: Cut) -> bytearray:
        """The header of a segment in the middle, with its checksums zero."""
        out = bytearray(packet[: what.header_length])
        at, length = what.ip_length, what.header_length + what.segment
        if what.is_ipv6:
            struct.pack_into(">H", out, 4, length - 40)
        else:
            struct.pack_into(">H", out, 2, length)
            out[10:12] = b"\0\0"
        if what.protocol == TCP:
            out[at + TCP_FLAGS] &= tcp_flags_kept(False, False)
            out[at + TCP_CHECKSUM_OFFSET : at + TCP_CHECKSUM_OFFSET + 2] = b"\0\0"
        else:
            struct.pack_into(">HH", out, at + 4, length - at, 0)
        return out

    def _shorten_last(self, begin: int, what: Cut, size: int) -> None:
        length = what.header_length + what.last
        self._buffer[begin + length : begin + size - OVERHEAD] = bytes(size - OVERHEAD - length)
        if what.is_ipv6:
            struct.pack_into(">H", self._buffer, begin + 4, length - 40)
        else:
            struct.pack_into(">H", self._buffer, begin + 2, length)
        if what.protocol != TCP:
            at = begin + what.ip_length + 4
            struct.pack_into(">H", self._buffer, at, length - what.ip_length)

    def _identify(self, packet: memoryview, what: Cut, columns: SegmentShape) -> None:
        (first,) = struct.unpack_from(">H", packet, 4)
        identifications = (np.arange(first, first + what.count)) & 0xFFFF
        length = what.header_length + what.segment
        same = ones_sum(packet[: what.ip_length])
        for at in (2, 4, 10):
            same -= packet[at] << 8 | packet[at + 1]
        columns.identifications[:] = identifications
        sums = identifications + (same + length)
        sums[-1] -= what.segment - what.last
        columns.ip_checksums[:] = -sums % ONES

    def _sum(self, packet: memoryview, what: Cut, columns: SegmentShape) -> None:
        addresses = packet[8:40] if what.is_ipv6 else packet[12:20]
        length = what.header_length + what.segment - what.ip_length
        # Little-endian words on both sides: a sum does not care, and neither does its complement.
        pseudo = int.from_bytes(addresses, "little") % ONES + (what.protocol << 8)
        sums = word_sums(columns.sums)
        sums += pseudo + swapped(length)
        sums[-1] += swapped(length - what.segment + what.last) - swapped(length)
        columns.upper_checksums[:] = -sums % ONES if what.protocol == TCP else ONES - sums % ONES

    def seal_packets(
        self, key: bytes, receiver: int, counter: int, packets: Sequence[SuperPacket]
    ) -> list[Rows]:
        """One run: all padded to the same length, but the last may be shorter; it must fit."""
        text, last = (padded(len(packets[i].packet), self._mtu) for i in (0, -1))
        size, at, buffer = text + OVERHEAD, HEADER, self._buffer
        finish = self._finish if _is_alike(packets) and len(packets) > 1 else None
        for header, packet in packets:
            if finish is None and header.flags & NEEDS_CHECKSUM:
                [whole] = split(SuperPacket(header, packet))
                packet = memoryview(whole)
            end = at + len(packet)
            buffer[at:end] = packet
            behind = at + text + (len(packet) & 1)
            if behind != end:
                buffer[end:behind] = bytes(behind - end)
            at += size
        shape = self._shape(size, len(packets))
        if finish is not None and packets[0].header.flags & NEEDS_CHECKSUM:
            finish(shape, packets[0])
        return self._seal(key, receiver, counter, shape, len(packets), text, last)

    def _finish(self, shape: Shape, first: SuperPacket) -> None:
        header, packet = first
        start, end = HEADER + header.checksum_start, HEADER + len(packet)
        sums = word_sums(shape.rows[:, start : end + (end - start & 1)])
        at = header.checksum_start + header.checksum_offset
        column = shape.plain[:, at : at + 2].view("<u2")[:, 0]
        is_udp = header.checksum_offset == UDP_CHECKSUM_OFFSET
        column[:] = ONES - sums % ONES if is_udp else -sums % ONES

    def _seal(
        self,
        key: bytes,
        receiver: int,
        counter: int,
        shape: Shape,
        count: int,
        text: int,
        last: int,
    ) -> list[Rows]:
        secret = ffi.from_buffer(key)
        seal, null = encrypt, _NULL
        shape.heads[:] = TRANSPORT
        shape.counters[:] = np.arange(counter, counter + count, dtype=np.uint64)
        texts, nonces = shape.texts, shape.nonces
        if last != text:
            texts, nonces = texts[:-1], nonces[:-1]
        for place, nonce in zip(texts, nonces, strict=True):
            seal(place, null, place, text, null, 0, null, nonce, secret)
        if last != text:
            place, nonce = shape.texts[-1], shape.nonces[-1]
            seal(place, null, place, last, null, 0, null, nonce, secret)
        shape.heads[:] = receiver << 32 | TRANSPORT
        size = text + OVERHEAD
        return sends(self._buffer, size * (count - 1) + last + OVERHEAD, size)

    def _shape(self, size: int, count: int) -> Shape:
        shape = self._shapes.get((size, count))
        if shape is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            shape = Shape(self._bytes, self._pointer, size, count)
            self._shapes[size, count] = shape
        return shape

    def _columns(self, shape: Shape, what: Cut) -> SegmentShape:
        key = (what.ip_length, what.header_length, what.segment, what.count, what.protocol)
        columns = self._segment_shapes.get(key)
        if columns is None:
            if len(self._segment_shapes) >= MAX_SHAPES:
                self._segment_shapes.clear()
            columns = self._segment_shapes[key] = SegmentShape(shape, what)
        return columns


def word_sums(table: Bytes) -> NDArray[np.int64]:
    """Of the little-endian words of each row, not yet reduced; a row has an even length."""
    sums: NDArray[np.uint32] = np.add.reduce(table.view("<u2"), axis=1, dtype=np.uint32)
    return sums.astype(np.int64)


def swapped(value: int) -> int:
    return (value & 0xFF) << 8 | value >> 8


def _is_alike(packets: Sequence[SuperPacket]) -> bool:
    """Same virtio header, same length: their checksums can be finished as one column."""
    header, length = packets[0].header, len(packets[0].packet)
    return all(it.header == header and len(it.packet) == length for it in packets)
