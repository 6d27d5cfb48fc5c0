"""Every way through the data path gives what the plain way gives, whatever comes and whatever is lost."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from node.core.equal_run import EqualRun
from node.core.numpy_segments import NumpySegments
from node.core.padding import padded
from node.core.row_cipher import CIPHERS
from node.core.rows import MAX_SEGMENTS, MAX_SEND, Rows, transport_runs
from node.core.segments import PlainSegments, Segments
from node.core.superpacket import SuperPacket, ordinary, split
from node.core.tun_features import TunFeatures
from node.wire.virtio import unpack_virtio
from tests.node.packets import ACK, CWR, FIN, PSH, super_packet, tcp, udp, unfinished

MTU = 1420
KEY = bytes(range(32))
RECEIVER = 0x89ABCDEF
COUNTER = 2**32 - 3
FEATURES = TunFeatures()
PLAIN = PlainSegments(MTU, FEATURES)
WAYS: list[Segments] = [NumpySegments(MTU, FEATURES, cipher) for cipher in CIPHERS]
with contextlib.suppress(ImportError):  # built where a compiler was
    from node.accel.segments import AcceleratedSegments, ciphers

    WAYS += [AcceleratedSegments(MTU, FEATURES, cipher) for cipher in ciphers()]
EVERY_WAY = pytest.mark.parametrize("way", WAYS, ids=lambda way: str(way.name))

families = st.booleans()
tcp_flags = st.sampled_from([ACK, ACK | PSH, ACK | FIN | PSH, ACK | CWR])


@st.composite
def super_packets(draw: st.DrawFn) -> SuperPacket:
    size = draw(st.integers(1, 1400) | st.sampled_from([1359, 1360, 1368]))
    length = draw(st.integers(1, min(60000, size * 50)))
    payload = draw(st.randoms(use_true_random=False)).randbytes(length)
    number, is_ipv6 = draw(st.integers(0, 0xFFFF) | st.integers(0xFFD0, 0xFFFF)), draw(families)
    if draw(st.booleans()):
        whole = udp(payload, is_ipv6=is_ipv6, identification=number)
    else:
        options = draw(st.sampled_from([b"", b"\1\1\1\1", bytes([1] * 12)]))
        sequence, flags = draw(st.integers(0, 2**32 - 1)), draw(tcp_flags)
        whole = tcp(
            payload,
            is_ipv6=is_ipv6,
            sequence=sequence,
            flags=flags,
            options=options,
            identification=number,
        )
    return super_packet(whole, size)


@st.composite
def ordinary_packets(draw: st.DrawFn) -> SuperPacket:
    length = draw(st.sampled_from([0, 1, 100, 101, 1300, 1301]) | st.integers(0, 1340))
    payload = draw(st.randoms(use_true_random=False)).randbytes(length)
    kind = draw(st.sampled_from([tcp, udp]))
    packet = kind(payload, is_ipv6=draw(families))
    choice = draw(st.integers(0, 3))
    if choice == 0:
        return ordinary(packet)
    if choice == 1:
        return ordinary(payload)  # no IP packet at all; empty is a keepalive
    return unfinished(packet)


SOME = [  # large, small, and in so many segments that a few of them fill a buffer
    super_packet(make(bytes(length), is_ipv6=is_ipv6), size)
    for make in (tcp, udp)
    for is_ipv6 in (False, True)
    for length, size in ((60000, 1360), (2000, 1300), (30000, 60))
]


def datagrams(sealed: list[Rows]) -> list[bytes]:
    return [bytes(datagram) for rows in sealed for datagram in rows.datagrams()]


def received(sealed: list[bytes]) -> Rows:
    """In a receive buffer with something after it, as a socket would leave it."""
    raw = b"".join(sealed)
    return Rows(bytearray(raw.ljust(1 << 17, b"\xaa")), 0, len(raw), len(sealed[0]))


def copy_of(rows: Rows) -> Rows:
    return replace(rows, buffer=bytearray(rows.buffer))


@EVERY_WAY
@given(superpacket=super_packets())
def test_a_super_packet_is_sealed_as_its_packets_one_by_one(
    way: Segments, superpacket: SuperPacket
) -> None:
    expected = PLAIN.seal_superpacket(KEY, RECEIVER, COUNTER, superpacket)
    sealed = way.seal_superpacket(KEY, RECEIVER, COUNTER, superpacket)

    assert datagrams(sealed) == datagrams(expected)
    for rows in sealed:
        assert rows.count <= MAX_SEGMENTS
        assert rows.stop - rows.start <= MAX_SEND


@EVERY_WAY
@given(which=st.lists(st.integers(0, len(SOME) - 1), min_size=1, max_size=6))
@settings(max_examples=30)
def test_super_packets_are_sealed_together_as_one_after_the_other(
    way: Segments, which: list[int]
) -> None:
    together = [SOME[each] for each in which]
    expected, counter = [], COUNTER
    for superpacket in together:
        expected += datagrams(PLAIN.seal_superpacket(KEY, RECEIVER, counter, superpacket))
        counter = COUNTER + len(expected)

    sealed = way.seal_superpackets(KEY, RECEIVER, COUNTER, together)

    assert datagrams(sealed) == expected


@EVERY_WAY
def test_what_is_longer_than_a_super_packet_is_merged_into_several(way: Segments) -> None:
    payload = bytes(range(256)) * 900  # 230 kB, as four receives bring it
    packets = [
        tcp(payload[at : at + 1360], sequence=at, identification=i)
        for i, at in enumerate(range(0, len(payload), 1360))
    ]
    sealed = datagrams(PLAIN.seal_packets(KEY, RECEIVER, 0, [ordinary(p) for p in packets]))
    rows = received(sealed)

    writes = [bytes(write) for write in way.coalesce(way.open(KEY, rows))]

    assert max(map(len, writes)) <= 10 + 65535
    whole = (SuperPacket(unpack_virtio(write[:10]), memoryview(write)[10:]) for write in writes)
    assert [packet for each in whole for packet in split(each)] == packets


@EVERY_WAY
@given(packet=ordinary_packets(), number=st.integers(2, 64), gap=st.integers(0, 20))
def test_equal_packets_are_sealed_as_one_by_one(
    way: Segments, packet: SuperPacket, number: int, gap: int
) -> None:
    length = len(packet.packet)
    lying = bytearray(b"".join([bytes(packet.packet) + bytes(gap)] * number) + b"\xaa" * 64)
    for i in range(number if length > 60 else 0):
        lying[i * (length + gap) + 59] = i  # alike is not the same
    run = EqualRun(packet.header, lying, 0, length + gap, length, number)

    expected = PLAIN.seal_packets(KEY, RECEIVER, COUNTER, list(run))

    assert datagrams(way.seal_packets(KEY, RECEIVER, COUNTER, run)) == datagrams(expected)


@EVERY_WAY
@given(packets=st.lists(ordinary_packets(), max_size=8), repeat=st.integers(1, 12))
def test_ordinary_packets_are_sealed_as_one_by_one(
    way: Segments, packets: list[SuperPacket], repeat: int
) -> None:
    packets = [packet for packet in packets for _ in range(repeat)]

    expected = PLAIN.seal_packets(KEY, RECEIVER, COUNTER, packets)
    sealed = way.seal_packets(KEY, RECEIVER, COUNTER, packets)

    assert datagrams(sealed) == datagrams(expected)
    assert all(rows.count <= MAX_SEGMENTS for rows in sealed)


def test_a_cipher_that_does_otherwise_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    accel = pytest.importorskip("node.accel.segments")
    monkeypatch.setattr(accel, "seal", lambda key, counter, text: bytes(len(text) + 16))

    assert accel.ciphers() == {}
    with pytest.raises(ImportError, match="no cipher"):
        AcceleratedSegments(MTU, FEATURES)


@st.composite
def journeys(draw: st.DrawFn) -> tuple[list[bytes], set[int]]:
    """Datagrams of one size as they arrive: cut, lost, swapped, corrupted; and what is then refused."""
    sealed = []
    counter = COUNTER
    for superpacket in draw(st.lists(super_packets(), min_size=1, max_size=3)):
        rows = PLAIN.seal_superpacket(KEY, RECEIVER, counter, superpacket)[0]
        counter += rows.count
        sealed += [bytes(datagram) for datagram in rows.datagrams()]
    size = len(sealed[0])
    arrived = [datagram for datagram in sealed if len(datagram) == size][:MAX_SEGMENTS]
    if len(sealed[-1]) < size:
        arrived = [*arrived[: MAX_SEGMENTS - 1], sealed[-1]]
    arrived = arrived[: MAX_SEND // size]
    middle = len(arrived) - (len(arrived[-1]) < size)
    if middle and draw(st.booleans()):
        for i in draw(st.sets(st.integers(0, middle - 1), max_size=3)):
            j = draw(st.integers(0, middle - 1))
            arrived[i], arrived[j] = arrived[j], arrived[i]
    if draw(st.booleans()):
        i, bit = draw(st.integers(0, len(arrived) - 1)), draw(st.integers(0, 8 * size - 1))
        place = 16 + bit // 8 % (len(arrived[i]) - 16)
        broken = bytearray(arrived[i])
        broken[place] ^= 1 << bit % 8
        arrived[i] = bytes(broken)
    lost = draw(st.sets(st.integers(0, len(arrived) - 1), max_size=3))
    left = [it for i, it in enumerate(arrived) if i not in lost] or arrived
    return left, draw(st.sets(st.integers(0, len(left) - 1), max_size=1))


@EVERY_WAY
@given(journey=journeys())
def test_what_arrives_opens_and_merges_as_in_the_plain_way(
    way: Segments, journey: tuple[list[bytes], set[int]]
) -> None:
    rows, refused = received(journey[0]), journey[1]
    expected = PLAIN.open(KEY, copy_of(rows))
    opened = way.open(KEY, rows)

    assert list(opened.counters) == list(expected.counters)
    assert opened.failed == expected.failed
    assert opened.packets() == expected.packets()
    writes = [bytes(write) for write in way.coalesce(opened, refused)]
    assert writes == [bytes(write) for write in PLAIN.coalesce(expected, refused)]


@EVERY_WAY
@pytest.mark.parametrize("kind", [tcp, udp])
@pytest.mark.parametrize("is_ipv6", [False, True])
@pytest.mark.parametrize("size", [1360, 1361])
def test_a_super_packet_crosses_as_one_send_and_one_write(
    way: Segments, kind: object, is_ipv6: bool, size: int
) -> None:
    make = tcp if kind is tcp else udp
    superpacket = super_packet(make(bytes(range(250)) * 200, is_ipv6=is_ipv6), size)

    [rows] = way.seal_superpacket(KEY, RECEIVER, COUNTER, superpacket)
    opened = way.open(KEY, received(datagrams([rows])))
    [write] = way.coalesce(opened)

    assert opened.counters == range(COUNTER, COUNTER + 37)
    head = unpack_virtio(bytes(write[:10]))
    assert split(SuperPacket(head, memoryview(write)[10:])) == split(superpacket)


@EVERY_WAY
def test_no_state_is_left_from_one_batch_to_the_next(way: Segments) -> None:
    long, short = (super_packet(tcp(b"\xff" * n), 999) for n in (40000, 39000))
    for superpacket in (long, short, long):
        expected = datagrams(PLAIN.seal_superpacket(KEY, 1, 0, superpacket))
        assert datagrams(way.seal_superpacket(KEY, 1, 0, superpacket)) == expected


@EVERY_WAY
def test_data_of_another_key_is_refused_row_by_row(way: Segments) -> None:
    sealed = datagrams(PLAIN.seal_superpacket(KEY, 1, 0, super_packet(tcp(bytes(5000)), 1000)))
    opened = way.open(bytes(32), received(sealed))
    assert opened.failed == (0, 1, 2, 3, 4)
    assert way.coalesce(opened) == []


def test_padding_goes_to_sixteen_but_not_beyond_the_mtu() -> None:
    assert [padded(n, 1420) for n in (0, 1, 16, 52, 1408, 1409, 1420)] == [
        *(0, 16, 16, 64, 1408, 1420, 1420)
    ]
    assert padded(1421, 1420) == 1436  # beyond the MTU its last unit is padded


def test_a_received_batch_is_told_apart_by_receiver() -> None:
    def sealed(receiver: int, count: int) -> list[bytes]:
        packets = [ordinary(bytes(20))] * count
        return datagrams(PLAIN.seal_packets(KEY, receiver, 0, packets))

    disco = b"TS".ljust(64, b"\0")
    batch = [*sealed(7, 3), disco, disco, *sealed(7, 1), *sealed(8, 2), bytes(31)]
    rows = received(batch)

    runs = [(index, datagrams([run])) for index, run in transport_runs(rows)]

    assert runs == [
        (7, batch[:3]),
        (None, batch[3:5]),
        (7, batch[5:6]),
        (8, batch[6:8]),
        (None, batch[8:]),
    ]
    [(index, run)] = transport_runs(received(sealed(9, 5)))
    assert (index, run.count) == (9, 5)
