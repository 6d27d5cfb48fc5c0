"""What the kernel can do for many packets at once, and how to ask for it (Linux).

    TUN   IFF_VNET_HDR and TUNSETOFFLOAD: reads and writes of super-packets (USO since Linux 6.2)
    UDP   UDP_SEGMENT: one send of many datagrams of equal size; UDP_GRO: one receive of many

Each is asked for and done without where it is refused. A device may refuse UDP_SEGMENT only when it is used
(EIO: it cannot do checksums): it is then switched off for good and the datagrams go singly. So do those of a
size that it refuses (EINVAL; in newer kernels EMSGSIZE where they are larger than the path's MTU): only
what is sent alone is cut into fragments.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import TypeAlias

from node.core.equal_run import EqualRun
from node.core.rows import GATHERED, LONGEST, MAX_SEGMENTS, OVERHEAD, Rows, per_send
from node.core.superpacket import SuperPacket
from node.core.tun_features import NO_OFFLOAD, TunFeatures
from node.wire.virtio import PLAIN, VIRTIO_SIZE, VirtioHeader, unpack_virtio

TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x1, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_USO4, TUN_F_USO6 = 0x01, 0x02, 0x04, 0x20, 0x40
SOL_UDP, UDP_SEGMENT, UDP_GRO = 17, 103, 104

READ = VIRTIO_SIZE + 65536
ORDINARY = 64  # packets gathered before they are worked on
RECEIVE = (GATHERED + 1) * LONGEST  # batches, and room for one more or for columns behind the last

_ANCILLARY = socket.CMSG_SPACE(4)
_THIS_SIZE = {errno.EINVAL, errno.EMSGSIZE}
_UNABLE = {errno.EIO, errno.EOPNOTSUPP, errno.ENOPROTOOPT, *_THIS_SIZE}


def ask_tun(fd: int, name: str) -> TunFeatures:
    """TUNSETIFF on a fresh descriptor with as much offload as this kernel has."""
    raw = name.encode()
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", raw, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", raw, IFF_TUN | IFF_NO_PI))
        return NO_OFFLOAD
    tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6
    for wanted, features in (
        (tcp | TUN_F_USO4 | TUN_F_USO6, TunFeatures()),
        (tcp, TunFeatures(udp=False)),
    ):
        with contextlib.suppress(OSError):
            fcntl.ioctl(fd, TUNSETOFFLOAD, wanted)
            return features
    return TunFeatures(tcp=False, udp=False)


def segments_for(mtu: int) -> int:
    """The link's `gso_max_segs`: more would not fit into one send once sealed."""
    return per_send(mtu + OVERHEAD)


Gather: TypeAlias = Callable[[int, bytearray, int, int], tuple[list[int], bool]]
"""(descriptor, buffer, longest read, size of the virtio header) -> lengths of the reads that now lie there
end to end, at even places; and whether they make an EqualRun."""

Receive: TypeAlias = Callable[
    [socket.socket, bytearray, int, int], tuple[int, int, tuple[str, int]] | None
]
"""(socket, buffer, where in it, room) -> length of what was received there, size of the datagrams that it was
merged of (0: of none), and its source; None when nothing waits."""

Received: TypeAlias = tuple[Rows, tuple[str, int]]
"""A batch, and where it came from."""


def gather(fd: int, buffer: bytearray, longest: int, skip: int) -> tuple[list[int], bool]:
    """One read, if there is anything."""
    try:
        length = os.readv(fd, [memoryview(buffer)[:longest]])
    except BlockingIOError:
        return [], True
    return [length] if length > skip else [], True


def receive(
    socket_: socket.socket, buffer: bytearray, at: int, room: int
) -> tuple[int, int, tuple[str, int]] | None:
    """One call of the kernel's."""
    space = [memoryview(buffer)[at : at + room]]
    try:
        length, ancillary, _, source = socket_.recvmsg_into(space, _ANCILLARY)
    except BlockingIOError:
        return None
    size = 0
    for level, kind, data in ancillary:
        if level == SOL_UDP and kind == UDP_GRO:
            size = int.from_bytes(data[:4], sys.byteorder)
    return length, size, source[:2]


class SuperPacketReader:
    """Reads a TUN interface; what it yields lies in its buffer until the next step."""

    def __init__(self, fd: int, features: TunFeatures) -> None:
        self._fd = fd
        self.counters: Counter[str] = Counter()
        self._skip = VIRTIO_SIZE if features.virtio else 0
        self._buffer = bytearray(max(ORDINARY * 2048, GATHERED * READ) + READ)
        self._view = memoryview(self._buffer)
        self.gather: Gather = gather  # until there are many

    def read(self, budget: int) -> Iterable[Sequence[SuperPacket]]:
        """Until nothing waits: runs of ordinary packets, and of super-packets."""
        first = self._gather()  # often a lane takes it, and nothing need be made for it
        return self._gathered(first, budget) if first else ()

    def _gather(self) -> tuple[list[int], bool] | None:
        """None: nothing has come that is not gone already."""
        try:
            lengths, alike = self.gather(self._fd, self._buffer, READ, self._skip)
        except OSError as error:
            self._count(error)
            return None
        return (lengths, alike) if lengths else None

    def _gathered(
        self, first: tuple[list[int], bool], budget: int
    ) -> Iterator[Sequence[SuperPacket]]:
        found: tuple[list[int], bool] | None = first
        while found is not None:
            lengths, alike = found
            budget -= 1 if len(lengths) == 1 else 1 + sum(lengths) // READ
            if len(lengths) == 1:
                yield [self._packet_at(0, lengths[0])]
            elif alike:
                header, step = self._header_at(0), lengths[0] + (lengths[0] & 1)
                size = lengths[0] - self._skip
                yield EqualRun(header, self._buffer, self._skip, step, size, len(lengths))
            else:
                yield from self._apart(lengths)
            found = self._gather() if budget > 0 else None

    def _apart(self, lengths: list[int]) -> Iterator[list[SuperPacket]]:
        packets: list[SuperPacket] = []
        at = 0
        for length in lengths:
            packets.append(self._packet_at(at, length))
            at += length + (length & 1)
        for _, run in groupby(packets, key=attrgetter("is_ordinary")):
            yield list(run)

    def _packet_at(self, at: int, length: int) -> SuperPacket:
        return SuperPacket(self._header_at(at), self._view[at + self._skip : at + length])

    def _header_at(self, at: int) -> VirtioHeader:
        return unpack_virtio(bytes(self._view[at : at + self._skip])) if self._skip else PLAIN

    def _count(self, error: OSError) -> None:  # EIO: the interface is down
        self.counters[f"read_{errno.errorcode.get(error.errno or 0, 'error')}"] += 1


class BatchSocket:
    """A UDP socket that sends and receives rows."""

    def __init__(self, socket_: socket.socket, buffer: bytearray | None = None) -> None:
        """Sockets that share a buffer also share the views that are made of it."""
        self._socket = socket_
        self.segments = self._can(UDP_SEGMENT, 0)
        self.merges = self._can(UDP_GRO, 1)
        self._buffer = bytearray(RECEIVE) if buffer is None else buffer
        self.receive_one: Receive = receive
        self._ahead: Received | OSError | None = None  # read already, and not yet handed out

    def fileno(self) -> int:
        return self._socket.fileno()

    def _can(self, option: int, value: int) -> bool:
        try:
            self._socket.setsockopt(SOL_UDP, option, value)
        except OSError:
            return False
        return True

    @property
    def is_ahead(self) -> bool:
        """Whether something was read that only `receive` knows of: no epoll will tell."""
        return self._ahead is not None

    def receive(self, most: int = 1) -> Received | None:
        """One batch of one source, or up to `most` that follow without a seam; None when nothing waits.
        It lies here until the next. A lone datagram, a ping's perhaps, waits for no other."""
        batch = self._receive_at(0) if self._ahead is None else self._take_ahead()
        if batch is None or batch[0].count == 1:
            return batch
        for _ in range(most - 1):
            if not self._has_room_behind(batch[0]):
                break
            joined = self._join(batch)
            if joined is None:
                break
            batch = joined
        return batch

    def _take_ahead(self) -> Received | None:
        ahead, self._ahead = self._ahead, None
        if isinstance(ahead, OSError):
            raise ahead
        return ahead

    def _has_room_behind(self, rows: Rows) -> bool:
        return rows.last == rows.size and rows.stop + LONGEST <= len(self._buffer)

    def _join(self, batch: Received) -> Received | None:
        """With the one that comes next, if it comes now and goes on in the same way."""
        rows, source = batch
        try:
            following = self._receive_at(rows.stop)
        except OSError as error:
            self._ahead = error
            return None
        if following is None:
            return None
        more, origin = following
        fits = more.size == rows.size or (more.size < rows.size and more.count == 1)
        if not fits or origin != source:
            self._ahead = following
            return None
        return Rows(self._buffer, rows.start, more.stop, rows.size), source

    def _receive_at(self, at: int) -> Received | None:
        received = self.receive_one(self._socket, self._buffer, at, LONGEST)
        if received is None:
            return None
        length, size, source = received
        return Rows(self._buffer, at, at + length, size or max(1, length)), source

    def send(self, rows: Rows, to: tuple[str, int]) -> None:
        """All of them, or an OSError."""
        if rows.count == 1:
            self._socket.sendto(rows.data, to)
            return
        if self.segments and rows.count <= MAX_SEGMENTS:
            control = [(SOL_UDP, UDP_SEGMENT, struct.pack("=H", rows.size))]
            try:
                self._socket.sendmsg([rows.data], control, 0, to)
                return
            except OSError as error:
                if error.errno not in _UNABLE:
                    raise
                self.segments = error.errno in _THIS_SIZE
        for datagram in rows.datagrams():
            self._socket.sendto(datagram, to)
