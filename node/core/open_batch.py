"""Opening on columns: the cipher row by row and in place, everything else for all rows at once.

The usual batch is one super-packet of the sender's: equal headers but for the fields that count up. That is
checked with three comparisons and two sums over columns; what is not so takes the plain way.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.core.checksum import ONES
from node.core.coalesce import MAX_LENGTH, TunFeatures, merged_front
from node.core.flow import Head, flow_mask, parse_head
from node.core.libsodium import decrypt, ffi
from node.core.rows import HEADER, Rows
from node.core.seal_batch import MAX_SHAPES, Bytes, swapped, word_sums
from node.core.superpacket import TCP, TCP_FLAGS
from node.wire.virtio import VIRTIO_SIZE


class Table:
    """Views of all rows of `size` bytes that lie at a multiple of `size` in one buffer."""

    __slots__ = ("counters", "heads", "nonces", "rows", "texts")

    def __init__(self, buffer: Bytes, pointer: Any, size: int) -> None:
        count = len(buffer) // size
        self.rows: Bytes = buffer[: count * size].reshape(count, size)
        heads = self.rows[:, :HEADER].view("<u8")
        self.heads, self.counters = heads[:, 0], heads[:, 1]
        self.texts = [pointer + at + HEADER for at in range(0, count * size, size)]
        self.nonces = [pointer + at + 4 for at in range(0, count * size, size)]


class BatchOpener:
    """For the rows of one receive buffer; another buffer may come, but costs new views."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._pointer: Any = None
        self._bytes: Bytes = np.zeros(0, np.uint8)
        self._tables: dict[int, Table] = {}
        self._out = bytearray(MAX_LENGTH + VIRTIO_SIZE)
        self._out_bytes: Bytes = np.frombuffer(self._out, np.uint8)
        self._masks: dict[tuple[int, int, int], Bytes] = {}

    def reaches(self, rows: Rows) -> bool:
        """Are the rows where the views are?"""
        end = rows.start + rows.count * rows.size
        return rows.size > HEADER and not rows.start % rows.size and end <= len(rows.buffer)

    def open(self, key: bytes, rows: Rows) -> tuple[range | list[int], tuple[int, ...]]:
        """Counters and the rows that failed."""
        table, first = self._table(rows), rows.start // rows.size
        count, last = rows.count, rows.last
        end = first + count
        table.heads[first:end] = 0  # the receiver index makes room for the nonce's zeros
        counters = _as_range(table.counters[first:end])
        secret, null, call = ffi.from_buffer(key), ffi.NULL, decrypt
        full = end if last == rows.size else end - 1
        length = rows.size - HEADER
        places = zip(table.texts[first:full], table.nonces[first:full], strict=True)
        results = [call(at, null, null, at, length, null, 0, nonce, secret) for at, nonce in places]
        if full < end:
            at, nonce = table.texts[full], table.nonces[full]
            results.append(call(at, null, null, at, last - HEADER, null, 0, nonce, secret))
        failed = tuple(i for i, result in enumerate(results) if result) if any(results) else ()
        return counters, failed

    def merge(self, rows: Rows, features: TunFeatures) -> memoryview | None:
        """All rows as one TUN write, if they are one super-packet."""
        first, last = parse_head(rows.packet(0)), parse_head(rows.packet(rows.count - 1))
        if first is None or last is None or not features.merges(first):
            return None
        if last.flow != first.flow or last.length > first.length or first.pushed:
            return None
        ahead = first.header_length + (first.length - first.header_length) * (rows.count - 1)
        length = ahead + last.length - last.header_length
        if length > MAX_LENGTH:
            return None
        at = rows.start // rows.size
        table = self._table(rows).rows[at : at + rows.count]
        if not self._is_run(table, first):
            return None
        self._clear_behind(rows, table, first, last)
        if not _sums_hold(table, first, last):
            return None
        front = merged_front(rows.packet(0), first, length, last.pushed)
        return self._gather(table, front, first, length)

    def _is_run(self, table: Bytes, first: Head) -> bool:
        """The rows between the first and the last have its header, and the sequences count up."""
        front, at = first.header_length, HEADER + first.ip_length
        between = table[1:-1, HEADER : HEADER + front]
        if ((between ^ table[0, HEADER : HEADER + front]) & self._mask(first)).any():
            return False
        if first.protocol != TCP:
            return True
        sequences = table[:, at + 4 : at + 8].view(">u4")[:, 0]
        step = first.length - front
        expected = np.arange(first.sequence, first.sequence + step * len(table), step)
        return bool((sequences == (expected & 0xFFFFFFFF)).all())

    def _mask(self, first: Head) -> Bytes:
        """The flow's, and also the length and PSH: only the last row may differ in those."""
        key = (first.ip_length, first.protocol, first.header_length)
        mask = self._masks.get(key)
        if mask is None:
            raw = bytearray(flow_mask(first.ip_length == 40, first.protocol, first.header_length))
            length = 4 if first.ip_length == 40 else 2
            raw[length : length + 2] = b"\xff\xff"
            if first.protocol == TCP:
                raw[first.ip_length + TCP_FLAGS] = 0xFF
            else:
                raw[first.ip_length + 4 : first.ip_length + 6] = b"\xff\xff"
            mask = self._masks[key] = np.frombuffer(bytes(raw), np.uint8)
        return mask

    def _clear_behind(self, rows: Rows, table: Bytes, first: Head, last: Head) -> None:
        """Zeros where a sum of words over equal rows would meet padding or a tag."""
        if first.length & 1:
            table[:, HEADER + first.length] = 0
        short = first.length - last.length
        if short:
            begin = rows.start + (rows.count - 1) * rows.size + HEADER + last.length
            self._buffer[begin : begin + short] = bytes(short)

    def _gather(self, table: Bytes, front: bytearray, first: Head, length: int) -> memoryview:
        full, step = len(table) - 1, first.length - first.header_length
        begin, stop = len(front), VIRTIO_SIZE + length
        end = begin + full * step
        payload = table[:, HEADER + first.header_length : HEADER + first.length]
        self._out[:begin] = front
        self._out_bytes[begin:end].reshape(full, step)[:] = payload[:full]
        self._out_bytes[end:stop] = payload[full, : stop - end]
        return memoryview(self._out)[:stop]

    def _table(self, rows: Rows) -> Table:
        if rows.buffer is not self._buffer:
            self._use(rows.buffer)
        table = self._tables.get(rows.size)
        if table is None:
            if len(self._tables) >= MAX_SHAPES:
                self._tables.clear()
            table = self._tables[rows.size] = Table(self._bytes, self._pointer, rows.size)
        return table

    def _use(self, buffer: bytearray) -> None:
        self._tables.clear()
        self._buffer = buffer
        self._bytes = np.frombuffer(buffer, np.uint8)
        self._owner = ffi.from_buffer("unsigned char[]", buffer)
        self._pointer = self._owner + 0


def _as_range(counters: NDArray[np.uint64]) -> range | list[int]:
    first, count = int(counters[0]), len(counters)
    expected = range(first, first + count)
    if int(counters[-1]) == expected[-1] and (np.diff(counters) == 1).all():
        return expected
    numbers: list[int] = counters.tolist()
    return numbers


def _sums_hold(table: Bytes, first: Head, last: Head) -> bool:
    at, length = first.ip_length, first.length - first.ip_length
    if at == 20 and (word_sums(table[:, HEADER : HEADER + 20]) % ONES).any():
        return False
    addresses = (
        table[0, HEADER + 12 : HEADER + 20] if at == 20 else table[0, HEADER + 8 : HEADER + 40]
    )
    pseudo = int.from_bytes(addresses.tobytes(), "little") + (first.protocol << 8)
    upper = word_sums(table[:, HEADER + at : HEADER + first.length + (length & 1)])
    upper += pseudo % ONES + swapped(length)
    upper[-1] += swapped(length - first.length + last.length) - swapped(length)
    return not (upper % ONES).any()
