"""Batches through real sockets: what the kernel does at once is what it would do one by one."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.core.equal_run import EqualRun
from node.core.plain_track import PlainTrack
from node.core.rows import MAX_SEND, Rows, per_send
from node.core.superpacket import SuperPacket
from node.core.tun_features import NO_OFFLOAD, TunFeatures
from node.io.data_path import fastest
from node.io.gather import Gatherer as PlainGatherer
from node.io.offload import ORDINARY, BatchSocket, Gather, SuperPacketReader, segments_for
from node.wire.virtio import GSO_TCPV4, GSO_UDP, VirtioHeader, pack_virtio
from tests.node.running_relay import PATIENCE

Pair = tuple[BatchSocket, BatchSocket, tuple[str, int]]


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with near, far:
        for each in (near, far):
            each.bind(("127.0.0.1", 0))
        far.settimeout(PATIENCE)
        yield BatchSocket(near), BatchSocket(far), far.getsockname()


def batch(count: int, size: int, last: int) -> Rows:
    buffer = bytearray(b"".join(bytes([i]) * size for i in range(count)))
    return Rows(buffer, 0, (count - 1) * size + last, size)


def arrived(far: BatchSocket, count: int) -> list[bytes]:
    out: list[bytes] = []
    while len(out) < count:
        received = far.receive()
        assert received is not None
        out += [bytes(datagram) for datagram in received[0].datagrams()]
    return out


@pytest.mark.parametrize(("count", "last"), [(1, 1452), (2, 1452), (45, 1452), (45, 32)])
def test_a_batch_arrives_as_the_same_datagrams(pair: Pair, count: int, last: int) -> None:
    near, far, address = pair
    rows = batch(count, 1452, last)
    near.send(rows, address)
    assert arrived(far, count) == [bytes(datagram) for datagram in rows.datagrams()]


def test_without_udp_segment_the_datagrams_go_singly(pair: Pair) -> None:
    near, far, address = pair
    near.segments = False
    rows = batch(20, 1452, 700)
    near.send(rows, address)
    assert arrived(far, 20) == [bytes(datagram) for datagram in rows.datagrams()]


def test_nothing_waiting_is_no_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as idle:
        idle.bind(("127.0.0.1", 0))
        assert BatchSocket(idle).receive() is None


@pytest.fixture
def waiting() -> Iterator[Pair]:
    """As `pair`, and whoever asks for more than there is gets nothing."""
    near, far = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    with near, far:
        far.bind(("127.0.0.1", 0))
        far.setblocking(False)
        yield BatchSocket(near), BatchSocket(far), far.getsockname()


def sizes(far: BatchSocket, most: int) -> list[tuple[int, int]]:
    """Size and number of the rows of each run, until nothing waits."""
    runs: list[tuple[int, int]] = []
    while (received := far.receive(most)) is not None:
        runs.append((received[0].size, received[0].count))
    return runs


def test_batches_that_go_on_alike_come_as_one(waiting: Pair) -> None:
    near, far, address = waiting
    for last in (500, 500, 100, 500, 500, 500, 500):
        near.send(batch(20, 500, last), address)
    assert sizes(far, most=4) == [(500, 60), (500, 80)]  # a short row is a seam


def test_a_batch_of_another_size_or_source_is_kept_for_the_next_call(waiting: Pair) -> None:
    near, far, address = waiting
    near.send(batch(2, 500, 500), address)
    near.send(batch(1, 400, 400), address)
    near.send(batch(2, 600, 600), address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        BatchSocket(other).send(batch(3, 600, 600), address)
        assert sizes(far, most=4) == [(500, 3), (600, 2), (600, 3)]


def test_a_link_cuts_no_more_segments_than_one_send_takes() -> None:
    assert segments_for(1420) == per_send(1452) == 45
    assert 45 * 1452 <= MAX_SEND < 65536 - 14 - 40 - 8  # Ethernet, IPv6 and UDP headers


@pytest.fixture
def tun() -> Iterator[tuple[socket.socket, int]]:
    """A socket that keeps packets apart stands in for the device's descriptor."""
    outside, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with outside, inside:
        os.set_blocking(inside.fileno(), False)
        yield outside, inside.fileno()


def plain_gatherer() -> Gather:
    return PlainGatherer(ORDINARY, PlainTrack(1280), lambda *_: False)


def reader_of(fd: int, features: TunFeatures) -> SuperPacketReader:
    reader = SuperPacketReader(fd, features)
    reader.gather = plain_gatherer()
    return reader


def test_until_there_is_more_packets_are_read_one_by_one(tun: tuple[socket.socket, int]) -> None:
    outside, fd = tun
    for text in (b"one", b"two"):
        outside.send(text)
    reader = SuperPacketReader(fd, NO_OFFLOAD)

    assert [[bytes(packet.packet) for packet in run] for run in reader.read(budget=8)] == [
        [b"one"],
        [b"two"],
    ]
    assert reader.read(budget=8) == ()


def test_ordinary_packets_are_gathered_and_super_packets_stand_alone(
    tun: tuple[socket.socket, int],
) -> None:
    outside, fd = tun
    kinds = [0, 0, GSO_TCPV4, GSO_UDP, 0]
    for i, kind in enumerate(kinds):
        outside.send(pack_virtio(VirtioHeader(gso_type=kind)) + bytes([i]) * 99)

    seen = [
        [(packet.header.gso_type, bytes(packet.packet[:1])) for packet in run]
        for run in reader_of(fd, TunFeatures()).read(budget=10)
    ]

    assert seen == [[(0, b"\0"), (0, b"\1")], [(1, b"\2")], [(5, b"\3")], [(0, b"\4")]]


def test_a_budget_leaves_the_rest_for_the_next_turn(tun: tuple[socket.socket, int]) -> None:
    outside, fd = tun
    for _ in range(ORDINARY + 5):
        outside.send(b"plain packet")
    reader = reader_of(fd, NO_OFFLOAD)

    assert [len(run) for run in reader.read(budget=1)] == [ORDINARY]
    assert [len(run) for run in reader.read(budget=1)] == [5]
    assert list(reader.read(budget=1)) == []


def test_after_a_lone_packet_the_next_one_waits_for_no_other(
    tun: tuple[socket.socket, int],
) -> None:
    outside, fd = tun
    reader = reader_of(fd, NO_OFFLOAD)

    def come(count: int) -> list[int]:
        for _ in range(count):
            outside.send(b"plain packet")
        return [len(run) for run in reader.read(budget=8)]

    assert [come(3), come(1)] == [[3], [1]]
    assert [come(3), come(3)] == [[1, 2], [3]]


@pytest.fixture(scope="module", params=["c", "numpy"])
def new_gather(request: pytest.FixtureRequest) -> Callable[[], Gather]:
    """One that has seen nothing yet."""
    if request.param == "numpy":
        return plain_gatherer
    accel = pytest.importorskip("node.accel.track")
    segments = accel.AcceleratedSegments(1280, NO_OFFLOAD)
    track = accel.AcceleratedTrack(segments, 1280, NO_OFFLOAD, -1, {})
    return lambda: accel.Gatherer(track, ORDINARY)


@given(kinds=st.text("aabc6-TU", max_size=90), virtio=st.booleans())
def test_many_packets_at_once_are_the_same_packets(
    new_gather: Callable[[], Gather], kinds: str, virtio: bool
) -> None:
    texts = [as_read(kind, number, virtio) for number, kind in enumerate(kinds)]

    runs = gathered(new_gather(), texts, virtio)

    packets = [packet for run in runs for packet in run]
    skip = 10 if virtio else 0
    assert [bytes(each.packet) for each in packets] == [text[skip:] for text in texts]
    for run in runs:
        assert len(run) <= ORDINARY
        assert len({packet.is_ordinary for packet in run}) == 1
        if isinstance(run, EqualRun):
            assert len({(len(each.packet), each.destination) for each in run}) == 1


def test_packets_of_one_kind_come_as_one_run(new_gather: Callable[[], Gather]) -> None:
    gather = new_gather()
    texts = [as_read(kind, number, True) for number, kind in enumerate("aaaTaab")]
    texts += [as_read("a", number, True) for number in range(4)]

    runs = gathered(gather, texts[:4], True) + gathered(gather, texts[7:], True)

    assert [(type(run), len(run)) for run in runs] == [(list, 3), (list, 1), (EqualRun, 4)]


def gathered(gather: Gather, texts: list[bytes], virtio: bool) -> list[Sequence[SuperPacket]]:
    """As the reader yields them, kept."""
    outside, inside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with outside, inside:
        inside.setblocking(False)
        reader = SuperPacketReader(inside.fileno(), TunFeatures() if virtio else NO_OFFLOAD)
        reader.gather = gather
        for text in texts:
            outside.send(text)
        return [kept(run) for run in reader.read(budget=100)]


def kept(run: Sequence[SuperPacket]) -> Sequence[SuperPacket]:
    if isinstance(run, EqualRun):
        shape = run.start, run.step, run.length, run.number
        return EqualRun(run.header, bytearray(run.buffer), *shape)
    return [SuperPacket(each.header, memoryview(bytes(each.packet))) for each in run]


def as_read(kind: str, number: int, virtio: bool) -> bytes:
    """IPv4 to two hosts and in two lengths, IPv6, no IP at all, super-packets."""
    ipv4 = b"\x45" + bytes(15) + {"b": b"\x0a\0\0\x02"}.get(kind, b"\x0a\0\0\x01")
    packet = {"6": b"\x60" + bytes(23) + b"\xfd" * 16, "-": b"no IP"}.get(kind, ipv4)
    packet += bytes(41 if kind == "c" else 40) + bytes([number])
    gso = {"T": GSO_TCPV4, "U": GSO_UDP}.get(kind, 0)
    return (pack_virtio(VirtioHeader(gso_type=gso)) if virtio else b"") + packet


def test_the_first_way_that_is_there_is_taken() -> None:
    assert fastest(1280, NO_OFFLOAD, ("plain", "numpy")).name == "plain"
    assert fastest(1280, NO_OFFLOAD, ("numpy", "plain")).name.startswith("numpy with ")
    assert fastest(1280, NO_OFFLOAD).name.split()[0] in ("c", "numpy")
