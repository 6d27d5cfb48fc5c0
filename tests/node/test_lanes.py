"""Lone packets take a lane: the same datagrams and packets, and the mesh knows of them all the same."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.core.lane import Lane, Toll
from node.core.noise import TransportKeys
from node.core.plain_track import PlainTrack
from node.core.session import Session
from node.core.superpacket import SuperPacket
from node.core.tun_features import TunFeatures
from node.io.loop import Loop
from node.io.offload import ORDINARY, READ
from node.wire.endpoint import Endpoint
from node.wire.virtio import NEEDS_CHECKSUM, PLAIN, VirtioHeader, pack_virtio, unpack_virtio
from tests.node import network
from tests.node.nat_model import port_restricted
from tests.node.network import Network

MTU = 1280
HERE, THERE, ELSEWHERE = (socket.inet_aton(f"100.64.{n}.1") for n in (1, 2, 3))
PEER = Endpoint("127.0.0.1", 1)
UNFINISHED = VirtioHeader(NEEDS_CHECKSUM, 0, 0, 0, 20, 6)


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

    def __init__(self, lane: Lane, near: socket.socket, far: socket.socket) -> None:
        accel = pytest.importorskip("node.accel.track")
        segments = accel.AcceleratedSegments(MTU, TunFeatures())
        self.kernel, tun = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        tun.setblocking(False)
        self.kernel.setblocking(False)
        self.tun, self.near, self.far = tun, near, far
        self.lane = replace(lane, to=Endpoint(*far.getsockname()[:2]))
        sockets = {near.family: near.fileno()}
        self.track = accel.AcceleratedTrack(segments, MTU, tun.fileno(), 10, sockets)
        self.track.open(self.lane)
        self.gather, self.receive = accel.Gatherer(self.track, ORDINARY), accel.Receiver(self.track)
        self.buffer = bytearray(1 << 18)

    def out(self, packet: SuperPacket) -> bytes | None:
        self.kernel.send(pack_virtio(packet.header) + packet.packet)
        lengths, _ = self.gather(self.tun.fileno(), self.buffer, READ, 10)
        try:
            sent = self.far.recv(65536)
        except BlockingIOError:
            sent = b""
        assert (lengths == []) == bool(sent), "it goes one way or the other"
        return sent or None

    def into(self, datagram: bytes) -> bytes | None:
        self.far.sendto(datagram, self.near.getsockname())
        left = self.receive(self.near, self.buffer, 0, 65536)
        try:
            came = self.kernel.recv(65536)
        except BlockingIOError:
            came = b""
        assert (left is None) == bool(came), "it goes one way or the other"
        if left is not None:
            assert bytes(self.buffer[: left[0]]) == datagram  # whole, for the long way
            assert left[2] == self.far.getsockname()[:2]
        return came[10:] or None

    def toll(self) -> Toll:
        toll: Toll = self.track.toll(self.lane)
        return toll

    def close(self) -> None:
        self.kernel.close()
        self.tun.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with udp() as near, udp() as far:
        yield near, far


@pytest.fixture(params=["plain", "c"])
def street(
    request: pytest.FixtureRequest, pair: tuple[socket.socket, socket.socket]
) -> Iterator[Street]:
    if request.param == "plain":
        yield plain(lane())
        return
    real = RealStreet(lane(), *pair)
    yield real
    real.close()


def test_a_lone_packet_goes_out_sealed_and_its_answer_comes_in(street: Street) -> None:
    theirs = session(mirrored=True)

    datagram = street.out(read(THERE, b"question"))
    assert datagram is not None
    [there] = theirs.open([datagram]).plaintexts
    [answer] = theirs.seal([ip(THERE, HERE, b"answer")], MTU)

    assert there.startswith(ip(HERE, THERE, b"question"))
    assert street.into(answer) == ip(THERE, HERE, b"answer")
    toll = street.toll()
    assert (toll.sent.count, toll.sent.size) == (1, len(datagram))
    assert (toll.received.count, toll.received.size) == (1, len(answer))
    assert [is_sent for _, is_sent in toll.moments()] == [True, False]
    assert street.toll() == Toll()


@pytest.mark.parametrize(
    "why",
    [
        "another address", "a super-packet", "longer than the MTU", "a checksum beyond its end",
        "a stump of another version",
    ],
)  # fmt: skip
def test_what_is_odd_goes_out_the_long_way(street: Street, why: str) -> None:
    odd = {
        "another address": read(ELSEWHERE, b"x"),
        "a super-packet": SuperPacket(
            VirtioHeader(0, 1, 0, 100, 20, 16), read(THERE, b"x" * 300).packet
        ),
        "a stump of another version": SuperPacket(
            PLAIN, memoryview(bytes([0x60]) + bytes(23) + THERE)
        ),
        "longer than the MTU": read(THERE, b"x" * (MTU - 19)),
        "a checksum beyond its end": SuperPacket(
            VirtioHeader(NEEDS_CHECKSUM, 0, 0, 0, 20, 16), read(THERE, b"short").packet
        ),
    }[why]

    assert street.out(odd) is None
    assert street.toll() == Toll()


@pytest.mark.parametrize(
    "why",
    [
        "the counter after the next", "the same again", "a forged one", "a keepalive", "not ours",
        "from elsewhere inside", "a message to the node", "no IP packet", "a handshake message", "a stump",
    ],
)  # fmt: skip
def test_what_is_odd_comes_in_the_long_way(street: Street, why: str) -> None:
    theirs = session(mirrored=True)
    whole, tsmp = ip(THERE, HERE, b"data"), bytearray(ip(THERE, HERE, b"data"))
    tsmp[9] = 99
    [first, second] = theirs.seal([whole, whole], MTU)
    if why == "the same again":
        assert street.into(first) == whole

    def alone(packet: bytes) -> bytes:
        return session(mirrored=True).seal([packet], MTU)[0]

    odd = {
        "the counter after the next": second,
        "the same again": first,
        "a forged one": first[:-1] + bytes([first[-1] ^ 1]),
        "a keepalive": alone(b""),
        "not ours": first[:4] + b"\xff" + first[5:],
        "from elsewhere inside": alone(ip(ELSEWHERE, HERE, b"data")),
        "a message to the node": alone(bytes(tsmp)),
        "no IP packet": alone(b"\x99" * 40),
        "a handshake message": b"\x01" + first[1:],
        "a stump": first[:20],
    }[why]

    assert street.into(odd) is None
    assert street.toll().received.count == (1 if why == "the same again" else 0)
    if why not in ("the same again",):
        assert street.into(first) == whole, "and the lane goes on"


RAW_HEADERS = st.binary(min_size=10, max_size=10)
HEADERS = st.sampled_from([PLAIN, UNFINISHED]) | st.builds(unpack_virtio, RAW_HEADERS)
CHANGES = st.lists(st.tuples(st.integers(0, 59), st.integers(0, 255)), max_size=4)


@given(header=HEADERS, payload=st.binary(max_size=MTU), changes=CHANGES)
def test_whatever_is_read_goes_out_alike_or_the_long_way(
    header: VirtioHeader, payload: bytes, changes: list[tuple[int, int]]
) -> None:
    packet = SuperPacket(header, memoryview(changed(ip(HERE, THERE, payload), changes)))
    with udp() as near, udp() as far:
        real = RealStreet(lane(), near, far)
        assert real.out(packet) == plain(lane()).out(packet)
        real.close()


@given(payload=st.binary(max_size=MTU), changes=CHANGES, outer=st.booleans())
def test_whatever_a_peer_seals_comes_in_alike_or_the_long_way(
    payload: bytes, changes: list[tuple[int, int]], outer: bool
) -> None:
    packet = ip(THERE, HERE, payload)
    [datagram] = session(mirrored=True).seal([packet if outer else changed(packet, changes)], MTU)
    datagram = changed(datagram, changes) if outer else datagram
    with udp() as near, udp() as far:
        real = RealStreet(lane(), near, far)
        assert real.into(datagram) == plain(lane()).into(datagram)
        real.close()


def test_ipv6_within_and_without() -> None:
    here, there = (socket.inet_pton(socket.AF_INET6, f"fd7a::{n}") for n in (1, 2))
    theirs = session(mirrored=True)
    [answer] = theirs.seal([ip6(there, here, b"answer")], MTU)
    with udp(socket.AF_INET6, "::1") as near, udp(socket.AF_INET6, "::1") as far:
        real = RealStreet(replace(lane(), there=there), near, far)
        for street in (plain(replace(lane(), there=there)), real):
            datagram = street.out(SuperPacket(PLAIN, memoryview(ip6(here, there, b"question"))))
            assert datagram is not None
            assert session(mirrored=True).open([datagram]).plaintexts[0][40:48] == b"question"
            assert street.into(answer) == ip6(there, here, b"answer")
        real.close()


def test_to_an_address_with_a_scope_there_is_no_lane_in_c() -> None:
    with udp(socket.AF_INET6, "::1") as near, udp(socket.AF_INET6, "::1") as far:
        real = RealStreet(lane(), near, far)
        scoped = replace(lane(), receives=session(local=9), to=Endpoint("fe80::1%lo", 1))

        real.track.open(scoped)

        assert real.track.close(scoped) == Toll()
        real.close()


def test_a_lane_ends_when_its_time_is_over() -> None:
    over = plain(replace(lane(), until=Loop.now()))
    [datagram] = session(mirrored=True).seal([ip(THERE, HERE, b"late")], MTU)

    assert over.out(read(THERE, b"late")) is None
    assert over.into(datagram) is None


def test_what_passed_is_known_as_if_it_had_gone_the_long_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network, "DATA_PATH", "plain")

    (passed, by_lanes), (none, long_way) = life(PlainTrack), life(Shut)

    assert passed > 800
    assert none == 0
    assert by_lanes == long_way


class Shut(PlainTrack):
    """Where every packet is odd."""

    def out(self, packet: SuperPacket, now: float) -> None:
        return None

    def into(self, datagram: bytes, source: tuple[str, int], now: float) -> None:
        return None


def life(track: type[PlainTrack]) -> tuple[int, dict[str, object]]:
    """Of two direct nodes that ask and answer every 20 ms, while their path dies and is mended: how many
    packets took a lane, and what is known in the end."""
    net = Network()
    net.add_relay(900, "nyc", "198.51.100.1")
    homes = [("a", "100.64.1.10", "203.0.113.10"), ("b", "100.64.2.20", "203.0.113.20")]
    a, b = (
        net.add_node(name, overlay, address=f"192.168.1.{n}", nat=port_restricted(wan))
        for n, (name, overlay, wan) in enumerate(homes, 10)
    )
    for machine in (a, b):
        machine.mesh.lanes.use(track(1280), net.now)
    net.start()
    for number in range(400):
        if number in (200, 300):
            (net.cut_direct if number == 200 else net.mend_direct)(a, b)
        net.send(a, b, b"question %d" % number)
        net.run(0.01)
        net.send(b, a, b"answer %d" % number)
        net.run(0.01)
    net.run(30.0)  # a keepalive goes, and is the last for now
    both = (a, b)
    return sum(machine.passed for machine in both), {
        "arrived": [machine.received for machine in both],
        "told": [machine.events for machine in both],
        "sent": [machine.sent for machine in both],
        "status": [asdict(machine.mesh.status(net.now)) for machine in both],
    }


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


def session(*, mirrored: bool = False, local: int = 7) -> Session:
    send, receive = (b"\x01" * 32, b"\x02" * 32)[:: -1 if mirrored else 1]
    local, remote = (local, 8)[:: -1 if mirrored else 1]
    keys = TransportKeys(send=send, receive=receive)
    return Session(keys, local_index=local, remote_index=remote, is_initiator=True, now=0.0)


def read(to: bytes, payload: bytes) -> SuperPacket:
    return SuperPacket(PLAIN, memoryview(ip(HERE, to, payload)))


def changed(whole: bytes, changes: list[tuple[int, int]]) -> bytes:
    out = bytearray(whole)
    for place, value in changes:
        out[place % len(out)] = value
    return bytes(out)


def ip(source: bytes, to: bytes, payload: bytes) -> bytes:
    length = 20 + len(payload)
    return b"\x45\x00" + length.to_bytes(2) + bytes(5) + b"\x11\x00\x00" + source + to + payload


def ip6(source: bytes, to: bytes, payload: bytes) -> bytes:
    return b"\x60\0\0\0" + len(payload).to_bytes(2) + b"\x11\x40" + source + to + payload
