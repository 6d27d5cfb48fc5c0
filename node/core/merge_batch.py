"""Merging on columns: the usual batch is one super-packet of the sender's, and is proved to be one.

All headers equal the first but for the fields that count up, the sequences do count up, and all checksums
hold: three comparisons and two sums over columns. What is not so takes the plain way.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from node.core.checksum import ONES
from node.core.coalesce import MAX_LENGTH, merged_front
from node.core.flow import Head, flow_mask, parse_head
from node.core.rows import HEADER, OVERHEAD, Rows
from node.core.seal_batch import MAX_SHAPES, Bytes, swapped, word_sums
from node.core.superpacket import PSH, TCP, TCP_FLAGS
from node.core.tun_features import TunFeatures
from node.wire.virtio import VIRTIO_SIZE


class RunShape:
    """The columns of a run of equal packets in some rows of the receive buffer."""

    __slots__ = (
        "behind",
        "headers",
        "ip_words",
        "mask",
        "out_bulk",
        "out_bulk_end",
        "row_bulk",
        "sequence_steps",
        "sequences",
        "upper_words",
    )

    def __init__(self, table: Bytes, out: Bytes, first: Head) -> None:
        at, front, length = first.ip_length, first.header_length, first.length
        plain = table[:, HEADER:]
        even = length + (length - at & 1)
        self.headers = plain[:, :front].view("<u4")
        self.mask = _mask(first, len(table))
        self.sequences = plain[:, at + 4 : at + 8].view(">u4")[:, 0]
        steps = np.arange(len(table), dtype=np.uint32)
        self.sequence_steps = steps * np.uint32(length - front)
        self.ip_words = plain[:, :20].view("<u2") if at == 20 else None
        self.upper_words = plain[:, at:even].view("<u2")
        self.behind = plain[:, length] if even > length else None
        self.row_bulk = plain[:-1, front:length]
        begin = VIRTIO_SIZE + front
        self.out_bulk_end = begin + self.row_bulk.size
        self.out_bulk = out[begin : self.out_bulk_end].reshape(self.row_bulk.shape)


class _Last(NamedTuple):
    """What may be different in the last row."""

    length: int
    pushed: bool


class BatchMerger:
    """For rows of one table; see open_batch."""

    def __init__(self) -> None:
        self._out = bytearray(VIRTIO_SIZE + 2 * MAX_LENGTH)
        self._out_bytes: Bytes = np.frombuffer(self._out, np.uint8)
        self._shapes: dict[tuple[int, ...], RunShape] = {}

    def forget(self) -> None:
        """The receive buffer is another one."""
        self._shapes.clear()

    def merge(self, rows: Rows, table: Bytes, features: TunFeatures) -> memoryview | None:
        """All rows, which are those of the table, as one TUN write, if they are one super-packet."""
        first = parse_head(rows.packet(0))
        if first is None or first.pushed or not features.merges(first):
            return None
        last = _last(rows, first)
        count = len(table)
        length = first.header_length + (first.length - first.header_length) * (count - 1)
        if last is None or (length := length + last.length - first.header_length) > MAX_LENGTH:
            return None
        shape = self._shape(rows, table, first)
        if np.count_nonzero((shape.headers ^ shape.headers[0]) & shape.mask):
            return None
        if first.protocol == TCP:
            expected = shape.sequence_steps + np.uint32(first.sequence)
            if np.count_nonzero(shape.sequences != expected):
                return None
        if not _sums_hold(rows, shape, first, last):
            return None
        front = merged_front(rows.packet(0), first, length, last.pushed)
        return self._gather(rows, shape, front, VIRTIO_SIZE + length)

    def runs(self, rows: Rows, table: Bytes) -> list[tuple[int, int]] | None:
        """Where the rows fall apart: first row and number of those that are one super-packet, if their
        checksums hold, or that do not follow each other or are strangers to the first row."""
        first = parse_head(rows.packet(0))
        if first is None:
            return None
        at, front, count = first.ip_length, first.header_length, len(table)
        headers = table[:, HEADER : HEADER + front].view("<u4")
        free = np.frombuffer(flow_mask(at == 40, first.protocol, front), "<u4")
        alike = ~((headers ^ headers[0]) & free).any(axis=1)
        lengths = (
            table[:, HEADER + 2 : HEADER + 4] if at == 20 else table[:, HEADER + 4 : HEADER + 6]
        )
        length = lengths.view(">u2")[:, 0]
        follows = alike[1:] & alike[:-1] & (length[:-1] == length[0]) & (length[1:] <= length[0])
        if first.protocol == TCP:
            sequences = table[:, HEADER + at + 4 : HEADER + at + 8].view(">u4")[:, 0]
            step = np.uint32(first.length - front)
            follows &= sequences[1:] == (sequences[:-1] + step).astype(np.uint32)
            follows &= table[:-1, HEADER + at + TCP_FLAGS] & PSH == 0
        joined = np.concatenate(([False], follows, [False]))
        edges = np.flatnonzero(joined[1:] != joined[:-1]).tolist()
        # Between two edges all follow: a run begins at an odd one's row and ends with an even one's.
        begins = sorted({0, count, *edges[::2], *(edge + 1 for edge in edges[1::2])})
        return [(i, end - i) for i, end in pairwise(begins)]

    def _gather(self, rows: Rows, shape: RunShape, front: bytearray, stop: int) -> memoryview:
        self._out[: len(front)] = front
        shape.out_bulk[:] = shape.row_bulk
        end, skip = shape.out_bulk_end, len(front) - VIRTIO_SIZE
        last = rows.packet(rows.count - 1)
        self._out[end:stop] = last[skip : skip + stop - end]
        return memoryview(self._out)[:stop]

    def _shape(self, rows: Rows, table: Bytes, first: Head) -> RunShape:
        key = (
            rows.start,
            rows.size,
            len(table),
            first.length,
            first.header_length,
            first.ip_length,
        )
        shape = self._shapes.get((*key, first.protocol))
        if shape is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            shape = self._shapes[(*key, first.protocol)] = RunShape(table, self._out_bytes, first)
        return shape


def _last(rows: Rows, first: Head) -> _Last | None:
    """The mask compares the rest of its header."""
    at, room, buffer = rows.start + (rows.count - 1) * rows.size + HEADER, rows.last, rows.buffer
    if room <= first.header_length + OVERHEAD:
        return None
    if first.ip_length == 20:
        length = buffer[at + 2] << 8 | buffer[at + 3]
    else:
        length = (buffer[at + 4] << 8 | buffer[at + 5]) + 40
    if not first.header_length < length <= min(first.length, room - OVERHEAD):
        return None
    upper = at + first.ip_length
    if first.protocol == TCP:
        return _Last(length, bool(buffer[upper + TCP_FLAGS] & PSH))
    says, has_checksum = (
        buffer[upper + 4] << 8 | buffer[upper + 5],
        any(buffer[upper + 6 : upper + 8]),
    )
    return _Last(length, False) if says == length - first.ip_length and has_checksum else None


def _mask(first: Head, count: int) -> NDArray[np.uint32]:
    """Ones where rows must equal the first; length and PSH are free in the last row only."""
    at = first.ip_length
    free = flow_mask(at == 40, first.protocol, first.header_length)
    bound, length = bytearray(free), 4 if at == 40 else 2
    bound[length : length + 2] = b"\xff\xff"
    if first.protocol == TCP:
        bound[at + TCP_FLAGS] = 0xFF
    else:
        bound[at + 4 : at + 6] = b"\xff\xff"
    return np.frombuffer(bytes(bound) * (count - 1) + free, "<u4").reshape(count, -1)


def _sums_hold(rows: Rows, shape: RunShape, first: Head, last: _Last) -> bool:
    if shape.behind is not None:
        shape.behind[:] = 0  # padding or tag, met by the sum of words
    short = first.length - last.length
    if short:
        begin = rows.start + (rows.count - 1) * rows.size + HEADER + last.length
        rows.buffer[begin : begin + short] = bytes(short)
    ones = np.uint32(ONES)
    if shape.ip_words is not None and np.count_nonzero(word_sums(shape.ip_words) % ones):
        return False
    at, packet = first.ip_length, rows.packet(0)
    addresses = packet[12:20] if at == 20 else packet[8:40]
    length = swapped(first.length - at)
    pseudo = int.from_bytes(addresses, "little") % ONES + (first.protocol << 8)
    sums = word_sums(shape.upper_words, pseudo + length)
    if short:
        sums[-1] += swapped(last.length - at) + ONES - length
    return not np.count_nonzero(sums % ones)
