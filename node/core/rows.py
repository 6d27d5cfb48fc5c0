"""Rows: datagrams of one size laid end to end in one buffer, the last perhaps shorter.

That is the shape in which the kernel takes many datagrams in one call (UDP_SEGMENT) and gives them back
(UDP_GRO), and the shape in which a batch is worked on. A row of WireGuard transport data is

    type 4 | receiver 4 | counter 8 | ciphertext, as long as the padded packet | tag 16

and a packet always starts 16 bytes into its row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

TRANSPORT = 4
HEADER = 16
OVERHEAD = 32  # header and tag
MAX_SEGMENTS = 64  # UDP_MAX_SEGMENTS of older kernels; newer ones allow 128
LONGEST = 65536  # bytes of one receive
GATHERED = 4  # receives that are worked on as one, where that pays: their rows stay in the cache
MAX_SEND = 65400  # bytes: with all headers less than 64 KiB, or the device cuts it up in software


class Rows(Struct, frozen=True):
    """`buffer[start:stop]`, cut every `size` bytes."""

    buffer: bytearray
    start: int
    stop: int
    size: int

    @property
    def count(self) -> int:
        return -(-(self.stop - self.start) // self.size)

    @property
    def last(self) -> int:
        """The size of the last row."""
        return self.stop - self.start - (self.count - 1) * self.size

    @property
    def data(self) -> memoryview:
        return memoryview(self.buffer)[self.start : self.stop]

    def datagrams(self) -> list[memoryview]:
        view, size = self.data, self.size
        return [view[at : at + size] for at in range(0, len(view), size)]

    def copies(self) -> list[bytes]:
        """The datagrams, to be kept."""
        whole, size = bytes(self.data), self.size
        return [whole[at : at + size] for at in range(0, len(whole), size)]

    def packet(self, i: int) -> memoryview:
        """The place of the plaintext in row `i`."""
        at = self.start + i * self.size
        return memoryview(self.buffer)[at + HEADER : min(at + self.size, self.stop) - HEADER]

    def part(self, first: int, count: int) -> Rows:
        at = self.start + first * self.size
        return Rows(self.buffer, at, min(at + count * self.size, self.stop), self.size)


def per_send(size: int) -> int:
    return max(1, min(MAX_SEGMENTS, MAX_SEND // size))


def sends(buffer: bytearray, stop: int, size: int, start: int = 0) -> list[Rows]:
    """All rows from `start` to `stop`, in pieces that one call can send."""
    step = per_send(size) * size
    if stop - start <= step:
        return [Rows(buffer, start, stop, size)]
    return [Rows(buffer, at, min(at + step, stop), size) for at in range(start, stop, step)]


def in_rows(datagrams: Sequence[bytes]) -> list[Rows]:
    """Any datagrams, laid out for as few sends as their sizes allow."""
    out: list[Rows] = []
    run: list[bytes] = []
    for datagram in datagrams:
        if run and (len(run[-1]) != len(run[0]) or len(datagram) > len(run[0])):
            out += _laid(run)
            run = []
        run.append(datagram)
    return out + _laid(run) if run else out


def _laid(run: Sequence[bytes]) -> list[Rows]:
    buffer = bytearray(b"".join(run))
    return sends(buffer, len(buffer), len(run[0]))


def kept(rows: Rows) -> Rows:
    """A copy, out of a buffer that is needed again."""
    copy = bytearray(rows.data)
    return Rows(copy, 0, len(copy), rows.size)


def is_uniform(rows: Rows) -> bool:
    """Do all rows begin with the same type and index? None has less than 8 bytes."""
    buffer, start, stop, size = rows.buffer, rows.start, rows.stop, rows.size
    return all(buffer[i:stop:size].count(buffer[i]) == rows.count for i in range(start, start + 8))


def transport_runs(
    rows: Rows, is_uniform: Callable[[Rows], bool] = is_uniform
) -> Iterator[tuple[int | None, Rows]]:
    """Runs of transport data for one receiver index; None for a run of anything else."""
    count = rows.count
    index = _receiver(rows.buffer, rows.start, rows.stop if count == 1 else rows.start + rows.size)
    if count == 1 or (index is not None and rows.last >= OVERHEAD and is_uniform(rows)):
        yield index, rows
        return
    first = 0
    for i in range(1, count + 1):
        following: int | None = -1
        if i < count:
            row = rows.part(i, 1)
            following = _receiver(row.buffer, row.start, row.stop)
        if following != index:
            yield index, rows.part(first, i - first)
            first, index = i, following


def _receiver(buffer: bytearray, start: int, stop: int) -> int | None:
    if stop - start < OVERHEAD or buffer[start : start + 4] != b"\x04\0\0\0":
        return None
    return int.from_bytes(buffer[start + 4 : start + 8], "little")
