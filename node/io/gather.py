"""Reads what waits at a TUN interface, as many packets as there are, end to end: the way without C."""

from __future__ import annotations

import os


class Gatherer:
    """See `Gather` in node.io.offload. A super-packet ends the run: it is enough to work on."""

    def __init__(self, most: int) -> None:
        self._most = most

    def __call__(
        self, fd: int, buffer: bytearray, longest: int, skip: int
    ) -> tuple[list[int], bool]:
        view, readv = memoryview(buffer), os.readv
        lengths: list[int] = []
        at, room, is_super = 0, len(buffer) - longest, False
        while len(lengths) < self._most and at <= room and not is_super:
            try:
                length = readv(fd, [view[at : at + longest]])
            except OSError as error:
                if lengths or isinstance(error, BlockingIOError):
                    break
                raise
            if length <= skip:
                break
            lengths.append(length)
            is_super = bool(skip and buffer[at + 1])
            at += length + (length & 1)
        return lengths, not is_super and _are_alike(buffer, lengths, skip)


def _are_alike(buffer: bytearray, lengths: list[int], skip: int) -> bool:
    """Of one length, with equal virtio headers, and to one destination; one alone is."""
    count = len(lengths)
    if count < 2:
        return True
    length = lengths[0]
    version = buffer[skip] >> 4
    begin, size = (skip + 16, 4) if version == 4 else (skip + 24, 16)
    if lengths.count(length) != count or version not in (4, 6) or begin + size > length:
        return False
    head, destination = buffer[:skip], buffer[begin : begin + size]
    return all(
        buffer.startswith(head, at)
        and buffer[at + skip] >> 4 == version
        and buffer.startswith(destination, at + begin)
        for at in range(0, count * (length + (length & 1)), length + (length & 1))
    )
