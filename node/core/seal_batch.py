"""Sealing on columns: numpy writes one field of all rows at once; only the cipher goes row by row.

A super-packet's header is laid into every row, its payload into the rows by one two-dimensional copy, then
lengths, identification, sequence, flags and checksums as columns. Views of one shape are made once
and kept.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from node.core.checksum import (
    ONES,
    TCP_CHECKSUM_OFFSET,
    UDP_CHECKSUM_OFFSET,
    complement,
    finish_checksum,
    ones_sum,
)
from node.core.equal_run import EqualRun
from node.core.padding import padded
from node.core.row_cipher import Place, RowCipher
from node.core.rows import HEADER, OVERHEAD, TRANSPORT, Rows, sends
from node.core.runs import Run, lay
from node.core.superpacket import (
    TCP,
    TCP_FLAGS,
    UDP,
    Cut,
    tcp_flags_kept,
    unfinished,
)
from node.wire.virtio import VirtioHeader

CAPACITY = 256 * 1024  # 64 kB in segments of 100 bytes still fits
MAX_SHAPES = 512  # kept at a time; a busy flow needs a handful
_HEAD = struct.Struct("<IIQ")

Bytes = NDArray[np.uint8]

# What counts modulo 65536, and modulo 65535 as complements do; a column takes a slice.
COUNTING_UP = np.arange(0x10000 + CAPACITY // OVERHEAD).astype(">u2")
COUNTING_DOWN = (-np.arange(ONES + CAPACITY // OVERHEAD) % ONES).astype(">u2")


class Shape:
    """Views of the first `count` rows of `size` bytes, before and after they are sealed."""

    __slots__ = (
        "counters",
        "heads",
        "places",
        "plain",
        "rows",
        "sealed_counters",
        "steps",
        "zeros",
    )

    def __init__(
        self, source: Bytes, target: Bytes, places: list[Place], size: int, count: int
    ) -> None:
        self.rows: Bytes = source[: count * size].reshape(count, size)
        self.plain = self.rows[:, HEADER : size - HEADER]
        nonces = self.rows[:, :HEADER].view("<u8")
        self.zeros, self.counters = nonces[:, 0], nonces[:, 1]
        heads = target[: count * size].reshape(count, size)[:, :HEADER].view("<u8")
        self.heads, self.sealed_counters = heads[:, 0], heads[:, 1]
        self.steps = np.arange(count, dtype=np.uint64)
        self.places = places


class SegmentShape:
    """The columns of a cut super-packet in the rows of a shape."""

    __slots__ = (
        "bulk",
        "bulk_size",
        "header",
        "identifications",
        "ip_checksums",
        "padding",
        "sequence_steps",
        "sequences",
        "upper",
        "upper_checksums",
    )

    def __init__(self, shape: Shape, what: Cut) -> None:
        plain, at, front = shape.plain, what.ip_length, what.header_length
        end = front + what.segment
        even = end + (end - at & 1)  # a sum of words may reach a byte behind the packet
        pad = max(even, plain.shape[1])
        self.header = plain[:, :front]
        self.bulk, self.bulk_size = plain[:-1, front:end], (what.count - 1) * what.segment
        self.padding = shape.rows[:, HEADER + end : HEADER + pad] if pad > end else None
        self.upper = shape.rows[:, HEADER + at : HEADER + even].view("<u2")
        self.identifications = plain[:, 4:6].view(">u2")[:, 0]
        self.ip_checksums = plain[:, 10:12].view(">u2")[:, 0]
        offset = at + (TCP_CHECKSUM_OFFSET if what.protocol == TCP else UDP_CHECKSUM_OFFSET)
        self.upper_checksums = plain[:, offset : offset + 2].view("<u2")[:, 0]
        self.sequences = plain[:, at + 4 : at + 8].view(">u4")[:, 0]
        self.sequence_steps = (shape.steps * what.segment).astype(np.uint32)


class BatchSealer:
    def __init__(self, mtu: int, cipher: Callable[[bytearray, bytearray], RowCipher]) -> None:
        self._mtu = mtu
        self._buffer = bytearray(CAPACITY)
        self._sealed = bytearray(CAPACITY)
        self._bytes: Bytes = np.frombuffer(self._buffer, np.uint8)
        self._sealed_bytes: Bytes = np.frombuffer(self._sealed, np.uint8)
        self._cipher = cipher(self._buffer, self._sealed)
        self._shapes: dict[tuple[int, int], Shape] = {}
        self._segment_shapes: dict[tuple[int, ...], SegmentShape] = {}

    def fits(self, length: int, count: int) -> bool:
        """So many packets of that length."""
        return count * (padded(length, self._mtu) + OVERHEAD) <= CAPACITY - HEADER

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
        source = np.frombuffer(packet, np.uint8)
        columns.header[:] = np.frombuffer(self._template(packet, what), np.uint8)
        bulk = source[what.header_length : what.header_length + columns.bulk_size]
        columns.bulk[:] = bulk.reshape(columns.bulk.shape)
        if columns.padding is not None:
            columns.padding[:] = 0
        last = (what.count - 1) * size + HEADER
        begin = last + what.header_length
        self._buffer[begin : begin + what.last] = packet[len(packet) - what.last :]
        if what.last < what.segment:
            self._shorten(last, what)
        if not what.is_ipv6:
            self._identify(packet, what, columns, last)
        if what.protocol == TCP:
            self._sequence(packet, what, columns, last)
        self._sum(packet, what, columns)

    def _sequence(self, packet: memoryview, what: Cut, columns: SegmentShape, last: int) -> None:
        (sequence,) = struct.unpack_from(">I", packet, what.ip_length + 4)
        columns.sequences[:] = columns.sequence_steps + sequence
        at = what.ip_length + TCP_FLAGS
        flags = packet[at]
        self._buffer[HEADER + at] = flags & tcp_flags_kept(True, what.count == 1)
        if what.count > 1:
            self._buffer[last + at] = flags & tcp_flags_kept(False, True)

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

    def _shorten(self, begin: int, what: Cut) -> None:
        """The last row: zeros as far as the others reach, and its own lengths."""
        length, short = what.header_length + what.last, what.segment - what.last
        self._buffer[begin + length : begin + length + short] = bytes(short)
        if what.is_ipv6:
            struct.pack_into(">H", self._buffer, begin + 4, length - 40)
        else:
            struct.pack_into(">H", self._buffer, begin + 2, length)
        if what.protocol != TCP:
            at = begin + what.ip_length + 4
            struct.pack_into(">H", self._buffer, at, length - what.ip_length)

    def _identify(self, packet: memoryview, what: Cut, columns: SegmentShape, last: int) -> None:
        """Identifications count up, so the IP checksums count down: both are slices of a table."""
        count, front = what.count, memoryview(packet)[: what.ip_length]
        length = what.header_length + what.segment
        (old_length, first) = struct.unpack_from(">HH", packet, 2)
        (old_checksum,) = struct.unpack_from(">H", packet, 10)
        total = (ones_sum(front) - old_length - old_checksum + length) % ONES
        columns.identifications[:] = COUNTING_UP[first : first + count]
        columns.ip_checksums[:] = COUNTING_DOWN[total : total + count]
        wrapped = 0x10000 - first  # from this row on the identification is one less modulo 65535
        if wrapped < count:
            down = COUNTING_DOWN[total + wrapped - 1 : total + count - 1]
            columns.ip_checksums[wrapped:] = down
        if what.last < what.segment:
            total += count - 1 - (wrapped < count) - what.segment + what.last
            struct.pack_into(">H", self._buffer, last + 10, complement(total))

    def _sum(self, packet: memoryview, what: Cut, columns: SegmentShape) -> None:
        addresses = packet[8:40] if what.is_ipv6 else packet[12:20]
        length = what.header_length + what.segment - what.ip_length
        # Little-endian words on both sides: a sum does not care, and neither does its complement.
        pseudo = int.from_bytes(addresses, "little") % ONES + (what.protocol << 8)
        sums = word_sums(columns.upper, pseudo + swapped(length))
        if what.last < what.segment:
            short = swapped(length - what.segment + what.last)
            sums[-1] += short + ONES - swapped(length)
        columns.upper_checksums[:] = complements(sums, what.protocol == UDP)

    def seal_run(self, key: bytes, receiver: int, counter: int, run: Run) -> list[Rows]:
        lay(run, self._buffer)
        count = len(run.packets)
        if count == 1:
            return self._seal_one(key, receiver, counter, run)
        shape = self._shape(run.size, count)
        if run.unfinished is not None:
            self._finish(shape, run.unfinished, len(run.packets[0].packet))
        return self._seal(key, receiver, counter, shape, count, run.text, run.last)

    def seal_equal(self, key: bytes, receiver: int, counter: int, run: EqualRun) -> list[Rows]:
        """All at once; it must fit. Raises Malformed."""
        text = padded(run.length, self._mtu)
        shape = self._shape(text + OVERHEAD, run.number)
        packets: Bytes = np.ndarray(
            (run.number, run.length), np.uint8, run.buffer, run.start, (run.step, 1)
        )
        shape.plain[:, : run.length] = packets
        behind = max(text, run.length + (run.length & 1))  # a sum of words may reach so far
        if behind > run.length:
            shape.rows[:, HEADER + run.length : HEADER + behind] = 0
        if unfinished(run[0])[0]:
            self._finish(shape, run.header, run.length)
        return self._seal(key, receiver, counter, shape, run.number, text, text)

    def _seal_one(self, key: bytes, receiver: int, counter: int, run: Run) -> list[Rows]:
        """Columns do not pay for an ACK."""
        if run.unfinished is not None:
            start, offset = run.unfinished.checksum_start, run.unfinished.checksum_offset
            end = HEADER + len(run.packets[0].packet)
            finish_checksum(memoryview(self._buffer)[HEADER:end], start, offset)
        _HEAD.pack_into(self._buffer, 0, 0, 0, counter)
        _HEAD.pack_into(self._sealed, 0, TRANSPORT, receiver, counter)
        self._cipher.seal(key, [self._cipher.sealing(0, run.text)])
        return [Rows(self._sealed, 0, run.size, run.size)]

    def _finish(self, shape: Shape, header: VirtioHeader, length: int) -> None:
        start, end = HEADER + header.checksum_start, HEADER + length
        sums = word_sums(shape.rows[:, start : end + (end - start & 1)].view("<u2"))
        at = header.checksum_start + header.checksum_offset
        column = shape.plain[:, at : at + 2].view("<u2")[:, 0]
        column[:] = complements(sums, header.checksum_offset == UDP_CHECKSUM_OFFSET)

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
        size, places = text + OVERHEAD, shape.places
        shape.counters[:] = shape.sealed_counters[:] = shape.steps + counter
        shape.zeros[:] = 0
        shape.heads[:] = receiver << 32 | TRANSPORT
        if last != text:
            places = [*places[:-1], self._cipher.sealing((count - 1) * size, last)]
        self._cipher.seal(key, places)
        return sends(self._sealed, size * (count - 1) + last + OVERHEAD, size)

    def _shape(self, size: int, count: int) -> Shape:
        shape = self._shapes.get((size, count))
        if shape is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            starts = range(0, size * count, size)
            places = [self._cipher.sealing(at, size - OVERHEAD) for at in starts]
            shape = Shape(self._bytes, self._sealed_bytes, places, size, count)
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


def word_sums(words: NDArray[np.uint16], pseudo: int = 0) -> NDArray[np.uint32]:
    """Of the little-endian words of each row and the pseudo header, not yet reduced."""
    sums: NDArray[np.uint32] = np.add.reduce(words, axis=1, dtype=np.uint32, initial=pseudo)
    return sums


def complements(sums: NDArray[np.uint32], is_udp: bool) -> NDArray[np.uint32]:
    """What to write so that each row sums to zero. 2^32 - 1 is a multiple of 65535: ~ is its minus."""
    out = ~sums % np.uint32(ONES)
    if is_udp:
        out[out == 0] = ONES
    return out


def swapped(value: int) -> int:
    return (value & 0xFF) << 8 | value >> 8
