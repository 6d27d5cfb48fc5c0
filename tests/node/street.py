"""A lane with an interface at each end: in Python, and in C between real sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from msgspec.structs import replace

from node.core.lane import Lane, Toll
from node.core.noise import TransportKeys
from node.core.plain_track import PlainTrack
from node.core.rows import Rows
from node.core.session import Session
from node.core.superpacket import SuperPacket
from node.core.tun_features import TunFeatures
from node.io.loop import Loop
from node.io.offload import ORDINARY, READ, SOL_UDP, UDP_GRO, BatchSocket
from node.wire.endpoint import Endpoint
from node.wire.virtio import PLAIN, VIRTIO_SIZE, pack_virtio, unpack_virtio

MTU = 1280
THERE = socket.inet_aton("100.64.2.1")
PEER = Endpoint("127.0.0.1", 1)
SOME_BUFFER = 1 << 20  # bytes; as much of it as there may be


class Street(Protocol):
    """A lane, with an interface at each end."""

    def out(self, packet: SuperPacket) -> bytes | None: ...
    def into(self, datagram: bytes) -> bytes | None: ...
    def toll(self) -> Toll: ...


@dataclass
class PlainStreet:
    lane: Lane
    track: PlainTrack

    def out(self, packet: SuperPacket) -> bytes | None:
        passed = self.track.out(packet, Loop.now())
        return None if passed is None else passed[0]

    def into(self, datagram: bytes) -> bytes | None:
        return self.track.into(datagram, self.lane.to, Loop.now())

    def toll(self) -> Toll:
        return self.track.toll(self.lane)


class RealStreet:
    """In C, between two sockets in the place of the TUN interface, and two UDP sockets."""

    def __init__(
        self,
        lane: Lane,
        near: socket.socket,
        far: socket.socket,
        *,
        mtu: int = MTU,
        features: TunFeatures | None = None,
        cipher: str | None = None,
        to: Endpoint | None = None,
        segments: bool = True,
    ) -> None:
        accel = pytest.importorskip("node.accel.track")
        features = features or TunFeatures()
        way = accel.AcceleratedSegments(mtu, features, cipher)
        self.kernel, tun = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for each in (self.kernel, tun, near, far):
            each.setblocking(False)
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                each.setsockopt(socket.SOL_SOCKET, option, SOME_BUFFER)
        self.tun, self.near, self.sender = tun, BatchSocket(near), BatchSocket(far)
        self.near.segments = segments
        far.setsockopt(SOL_UDP, UDP_GRO, 0)  # it is to get the datagrams that went over the wire
        self.near_socket, self.far = near, far
        self.skip = VIRTIO_SIZE if features.virtio else 0
        self.lane = replace(lane, to=to or Endpoint(*far.getsockname()[:2]))
        sockets = {near.family: self.near}
        self.track: Any = accel.AcceleratedTrack(way, mtu, features, tun.fileno(), sockets)
        self.track.open(self.lane)
        self.gather = accel.Gatherer(self.track, ORDINARY)
        self.near.receive_one = accel.Receiver(self.track)
        self.buffer = bytearray(1 << 19)

    def out(self, packet: SuperPacket) -> bytes | None:
        sent, left = self.out_together([packet])
        assert len(sent) + len(left) == 1, "it goes one way or the other"
        return sent[0] if sent else None

    def out_together(self, packets: Sequence[SuperPacket]) -> tuple[list[bytes], list[SuperPacket]]:
        """The datagrams that went out, and what is left for the long way."""
        for packet in packets:
            self.kernel.send(pack_virtio(packet.header)[: self.skip] + packet.packet)
        lengths, _ = self.gather(self.tun.fileno(), self.buffer, READ, self.skip)
        left, at = [], 0
        for length in lengths:
            read = bytes(self.buffer[at : at + length])
            header = unpack_virtio(read[: self.skip]) if self.skip else PLAIN
            left.append(SuperPacket(header, memoryview(read)[self.skip :]))
            at += length + length % 2
        return everything(self.far), left

    def into(self, datagram: bytes) -> bytes | None:
        writes, left = self.into_together([datagram])
        assert (left == []) == bool(writes), "it goes one way or the other"
        assert left in ([], [datagram])  # whole, for the long way
        assert not writes or writes[0][: self.skip] == bytes(self.skip)
        return writes[0][self.skip :] if writes else None

    def into_together(self, datagrams: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
        """They arrive as one batch: what the TUN interface was given, and the datagrams left."""
        raw = bytearray(b"".join(datagrams))
        to = self.near_socket.getsockname()
        self.sender.send(Rows(raw, 0, len(raw), len(datagrams[0])), to)
        received = self.near.receive()
        if received is None:
            return everything(self.kernel), []
        rows, source = received
        assert source == self.far.getsockname()[:2]
        assert rows.size <= rows.stop - rows.start
        return everything(self.kernel), rows.copies()

    def toll(self) -> Toll:
        toll: Toll = self.track.toll(self.lane)
        return toll

    def close(self) -> None:
        self.kernel.close()
        self.tun.close()


def everything(socket_: socket.socket) -> list[bytes]:
    """What waits there."""
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(socket_.recv(READ))
    return found


def lane() -> Lane:
    return Lane(session(), session(), PEER, THERE, Loop.now() + 60, first=0, expected=0)


def plain(lane: Lane) -> PlainStreet:
    track = PlainTrack(MTU)
    track.open(lane)
    return PlainStreet(lane, track)


def udp(family: socket.AddressFamily = socket.AF_INET, address: str = "127.0.0.1") -> socket.socket:
    new = socket.socket(family, socket.SOCK_DGRAM)
    new.bind((address, 0))
    new.setblocking(False)
    return new


def session(*, mirrored: bool = False, local: int = 7, keys: bytes = b"\x01\x02") -> Session:
    """`keys`: one byte for each way's."""
    send, receive = (bytes([byte]) * 32 for byte in keys[:: -1 if mirrored else 1])
    local, remote = (local, 8)[:: -1 if mirrored else 1]
    both = TransportKeys(send=send, receive=receive)
    return Session(both, local_index=local, remote_index=remote, is_initiator=True, now=0.0)
