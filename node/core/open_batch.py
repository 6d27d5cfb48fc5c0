"""Opening on columns: the cipher row by row, everything else for all rows at once.

The opened rows lie in a second buffer, at the same places as the received ones in theirs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from node.core.merge_batch import BatchMerger
from node.core.row_cipher import Place, RowCipher
from node.core.rows import HEADER, OVERHEAD, Rows
from node.core.seal_batch import MAX_SHAPES, Bytes
from node.core.tun_features import TunFeatures

STEPS = np.arange(65536 // OVERHEAD, dtype=np.uint64)


class Table:
    """All rows of `size` bytes that lie at a multiple of `size`, before and after they are opened."""

    __slots__ = ("_cipher", "_places", "_size", "counters", "heads", "rows")

    def __init__(self, source: Bytes, target: Bytes, cipher: RowCipher, size: int) -> None:
        count = len(source) // size
        heads = source[: count * size].reshape(count, size)[:, :HEADER].view("<u8")
        self.heads, self.counters = heads[:, 0], heads[:, 1]
        self.rows: Bytes = target[: count * size].reshape(count, size)
        self._cipher, self._size = cipher, size
        self._places: list[Place] = []

    def places(self, first: int, end: int) -> list[Place]:
        """Made for as many rows as ever came: thousands of small ones fit, and hardly ever come."""
        for i in range(len(self._places), end):
            self._places.append(self._cipher.opening(i * self._size, self._size - OVERHEAD))
        return self._places[first:end]


class BatchOpener:
    """For the rows of one receive buffer; another buffer may come, but costs new views."""

    def __init__(self, cipher: Callable[[bytearray, bytearray], RowCipher]) -> None:
        self._make_cipher = cipher
        self._merger = BatchMerger()
        self._tables: dict[int, Table] = {}
        self._use(bytearray())

    def reaches(self, rows: Rows) -> bool:
        """Are the rows where the views are?"""
        end = rows.start + rows.count * rows.size
        return (
            rows.size >= OVERHEAD
            and not rows.start % rows.size
            and end <= len(rows.buffer)
            and rows.count <= len(STEPS)
        )

    def is_uniform(self, rows: Rows) -> bool:
        """Of rows that it reaches."""
        if rows.buffer is not self._buffer:
            self._use(rows.buffer)
        first = rows.start // rows.size
        heads = self._table(rows).heads[first : first + rows.count]
        return not np.count_nonzero(heads != heads[0])

    def open(self, key: bytes, rows: Rows) -> tuple[Rows, range | list[int], tuple[int, ...]]:
        """The opened rows, their counters, and those that failed."""
        if rows.buffer is not self._buffer:
            self._use(rows.buffer)
        table, first, last = self._table(rows), rows.start // rows.size, rows.last
        end = first + rows.count
        table.heads[first:end] = 0  # the receiver index makes room for the nonce's zeros
        counters = _as_range(table.counters[first:end])
        places = table.places(first, end)
        if last != rows.size:
            places[-1] = self._cipher.opening((end - 1) * rows.size, last - OVERHEAD)
        failed = self._cipher.open(key, places)
        return Rows(self._opened, rows.start, rows.stop, rows.size), counters, failed

    def merge(self, rows: Rows, features: TunFeatures) -> memoryview | None:
        """All opened rows as one TUN write, if they are one super-packet."""
        if rows.buffer is not self._opened:
            return None
        table, first = self._table(rows), rows.start // rows.size
        return self._merger.merge(rows, table.rows[first : first + rows.count], features)

    def runs(self, rows: Rows) -> list[tuple[int, int]] | None:
        """Of opened rows that are not one super-packet, those that may be."""
        if rows.buffer is not self._opened:
            return None
        table, first = self._table(rows), rows.start // rows.size
        return self._merger.runs(rows, table.rows[first : first + rows.count])

    def _table(self, rows: Rows) -> Table:
        table = self._tables.get(rows.size)
        if table is None:
            if len(self._tables) >= MAX_SHAPES:
                self._tables.clear()
            table = Table(self._bytes, self._opened_bytes, self._cipher, rows.size)
            self._tables[rows.size] = table
        return table

    def _use(self, buffer: bytearray) -> None:
        self._tables.clear()
        self._merger.forget()
        self._buffer, self._opened = buffer, bytearray(len(buffer))
        self._bytes: Bytes = np.frombuffer(buffer, np.uint8)
        self._opened_bytes: Bytes = np.frombuffer(self._opened, np.uint8)
        self._cipher = self._make_cipher(buffer, self._opened)


def _as_range(counters: NDArray[np.uint64]) -> range | list[int]:
    first, count = int(counters[0]), len(counters)
    if counters.tobytes() == (STEPS[:count] + counters[0]).tobytes():
        return range(first, first + count)
    numbers: list[int] = counters.tolist()
    return numbers
