"""Lanes in C, and the reads of both interfaces, whose packets take them."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from typing import Any, Protocol

from node.accel.segments import AcceleratedSegments, ffi, lib
from node.core.lane import COUNTERS, Lane, Toll, Turns
from node.core.tun_features import TunFeatures
from node.wire.virtio import VIRTIO_SIZE


class Sender(Protocol):
    """A UDP socket."""

    segments: bool  # whether it takes many datagrams at once, as far as is known by now

    def fileno(self) -> int: ...


class AcceleratedTrack:
    """A `Track` between a TUN interface and the UDP sockets of a port."""

    in_batches = True

    def __init__(
        self,
        segments: AcceleratedSegments,
        mtu: int,
        features: TunFeatures,
        tun: int,
        sockets: Mapping[socket.AddressFamily, Sender],
    ) -> None:
        """`tun` is a descriptor."""
        self.cipher = segments.cipher
        skip = VIRTIO_SIZE if features.virtio else 0
        made = lib.new_track(tun, skip, mtu, features.tcp, features.udp)
        if made == ffi.NULL:
            raise MemoryError
        self.track = ffi.gc(made, lib.free)
        self._sockets = sockets
        self._sent, self._received = ffi.new("struct turns *"), ffi.new("struct turns *")

    def open(self, lane: Lane) -> None:
        family = socket.AF_INET6 if lane.to.is_ipv6 else socket.AF_INET
        try:
            address = socket.inet_pton(family, lane.to.address)
        except OSError:  # with a scope, fe80::1%eth0
            return
        new = lib.new_lane(self.track) if family in self._sockets else ffi.NULL
        if new == ffi.NULL:
            return
        new.local, new.remote = lane.receives.local_index, lane.sends.remote_index
        new.until = lane.until
        new.next, new.stop, new.expected = lane.first, lane.first + COUNTERS, lane.expected
        new.address_size, new.address[0 : len(lane.there)] = len(lane.there), lane.there
        new.to.size, new.to.port = len(address), lane.to.port
        new.to.address[0 : len(address)] = address
        new.socket, new.segments = self._sockets[family].fileno(), self._sockets[family].segments
        new.send_key, new.receive_key = lane.sends.send_key, lane.receives.receive_key

    def close(self, lane: Lane) -> Toll:
        return self._take(lane, closes=True)

    def toll(self, lane: Lane) -> Toll:
        return self._take(lane, closes=False)

    def _take(self, lane: Lane, closes: bool) -> Toll:
        sent, received = self._sent, self._received
        if not lib.take_toll(self.track, lane.receives.local_index, closes, sent, received):
            return Toll()
        return Toll(_turns(sent), _turns(received))


class Gatherer:
    """See `Gather` in node.io.offload."""

    def __init__(self, track: AcceleratedTrack, most: int) -> None:
        self._track, self._most = track, most
        self._buffer, self._at = bytearray(), ffi.NULL
        self._lengths = ffi.new("uint32_t[]", most)
        self._alike = ffi.new("int *")

    def __call__(
        self, fd: int, buffer: bytearray, longest: int, skip: int
    ) -> tuple[list[int], bool]:
        track = self._track
        if buffer is not self._buffer:
            self._buffer, self._at = buffer, ffi.from_buffer(buffer)
        count = lib.read_or_pass(
            *(track.track, track.cipher, fd, self._at, len(buffer)),
            *(longest, skip, self._most, self._lengths, self._alike),
        )
        if count < 0:
            raise OSError(-count, os.strerror(-count))
        if not count:
            return [], True
        return ffi.unpack(self._lengths, count), bool(self._alike[0])


class Receiver:
    """See `Receive` in node.io.offload."""

    def __init__(self, track: AcceleratedTrack) -> None:
        self._track = track
        self._segment, self._origin = ffi.new("uint32_t *"), ffi.new("struct origin *")
        self._bytes = ffi.buffer(self._origin)
        self._last, self._source = b"", ("", 0)
        self._buffer, self._at = bytearray(), ffi.NULL

    def __call__(
        self, socket_: socket.socket, buffer: bytearray, at: int, room: int
    ) -> tuple[int, int, tuple[str, int]] | None:
        track = self._track
        if buffer is not self._buffer:
            self._buffer, self._at = buffer, ffi.from_buffer(buffer)
        length = lib.receive_or_pass(
            *(track.track, track.cipher, socket_.fileno(), self._at + at, room),
            *(at == 0, self._segment, self._origin),
        )
        if length == -errno.EAGAIN:
            return None
        if length < 0:
            raise OSError(-length, os.strerror(-length))
        return length, self._segment[0], self._from()

    def _from(self) -> tuple[str, int]:
        """As Python says it; most come from where the last one came from."""
        raw = self._bytes[:]
        if raw != self._last:
            size = self._origin.size
            family = socket.AF_INET if size == 4 else socket.AF_INET6
            address = socket.inet_ntop(family, raw[:size])
            self._last, self._source = raw, (address, self._origin.port)
        return self._source


def _turns(found: Any) -> Turns:
    return Turns(found.count, found.size, found.first, found.last, found.since)
