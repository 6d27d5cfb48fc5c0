"""Opening on columns: the cipher row by row and in place, everything else for all rows at once.

The counter stands behind the receiver index in a row; with the index cleared, the row is its own nonce.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.core.coalesce import TunFeatures
from node.core.libsodium import decrypt, ffi
from node.core.merge_batch import BatchMerger
from node.core.rows import HEADER, Rows
from node.core.seal_batch import MAX_SHAPES, NONCE, Bytes


class Table:
    """Views of all rows of `size` bytes that lie at a multiple of `size` in one buffer."""

    __slots__ = ("counters", "heads", "places", "rows")

    def __init__(self, buffer: Bytes, pointer: Any, size: int) -> None:
        count = len(buffer) // size
        self.rows: Bytes = buffer[: count * size].reshape(count, size)
        heads = self.rows[:, :HEADER].view("<u8")
        self.heads, self.counters = heads[:, 0], heads[:, 1]
        starts = range(0, count * size, size)
        self.places = [(pointer + at + HEADER, pointer + at + NONCE) for at in starts]


class BatchOpener:
    """For the rows of one receive buffer; another buffer may come, but costs new views."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._pointer: Any = None
        self._bytes: Bytes = np.zeros(0, np.uint8)
        self._tables: dict[int, Table] = {}
        self._merger = BatchMerger()

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
        length, short = rows.size - HEADER, last - HEADER
        results = [
            call(at, null, null, at, length, null, 0, nonce, secret)
            for at, nonce in table.places[first:full]
        ]
        for at, nonce in table.places[full:end]:
            results.append(call(at, null, null, at, short, null, 0, nonce, secret))
        failed = tuple(i for i, result in enumerate(results) if result) if any(results) else ()
        return counters, failed

    def merge(self, rows: Rows, features: TunFeatures) -> memoryview | None:
        """All rows as one TUN write, if they are one super-packet."""
        table, first = self._table(rows), rows.start // rows.size
        return self._merger.merge(rows, table.rows[first : first + rows.count], features)

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
        self._merger.forget()
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
