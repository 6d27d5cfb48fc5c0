"""Reads of both interfaces without C: as many packets as there are, and lone ones take their lane."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence

from node.core.plain_track import PlainTrack
from node.core.superpacket import SuperPacket
from node.io.loop import Loop
from node.io.offload import receive
from node.wire.endpoint import Endpoint
from node.wire.virtio import PLAIN, unpack_virtio


class Gatherer:
    """See `Gather` in node.io.offload. A super-packet ends the run: it is enough to work on."""

    def __init__(
        self, most: int, track: PlainTrack, send: Callable[[Sequence[bytes], Endpoint], bool]
    ) -> None:
        """What has no way there, as `send` says, goes the long way, where somebody is told."""
        self._most, self._track, self._send = most, track, send
        self._before = 0  # packets of the call before
        self._alone = False  # the last packet came without others: the next one waits for none

    def __call__(
        self, fd: int, buffer: bytearray, longest: int, skip: int
    ) -> tuple[list[int], bool]:
        view, readv = memoryview(buffer), os.readv
        lengths: list[int] = []
        at, room, is_super = 0, len(buffer) - longest, False
        most = 1 if self._alone else self._most
        while len(lengths) < most and at <= room and not is_super:
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
        self._alone, self._before = not lengths and self._before == 1, len(lengths)
        if len(lengths) == 1 and not is_super and self._passes(view[: lengths[0]], skip):
            self._alone = most > 1  # else another may wait
            return [], True
        return lengths, not is_super and _are_alike(buffer, lengths, skip)

    def _passes(self, read: memoryview, skip: int) -> bool:
        header = unpack_virtio(bytes(read[:skip])) if skip else PLAIN
        passed = self._track.out(SuperPacket(header, read[skip:]), Loop.now())
        if passed is None:
            return False
        datagram, to = passed
        return self._send([datagram], to)


class Receiver:
    """See `Receive` in node.io.offload."""

    def __init__(self, track: PlainTrack, write: Callable[[Sequence[bytes]], None]) -> None:
        self._track, self._write = track, write

    def __call__(
        self, socket_: socket.socket, buffer: bytearray, at: int, room: int
    ) -> tuple[int, int, tuple[str, int]] | None:
        received = receive(socket_, buffer, at, room)
        if received is None or at:
            return received
        length, size, source = received
        if 0 < size < length:
            return received
        packet = self._track.into(bytes(buffer[:length]), source, Loop.now())
        if packet is None:
            return received
        self._write([packet])
        return None  # if another waits, the loop says so; looking costs the answer time


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
