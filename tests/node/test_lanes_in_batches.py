"""What is read together takes a lane together: sealed and merged as the long way would, up to what is odd."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from node.core.padding import padded
from node.core.rows import OVERHEAD, per_send
from node.core.segments import PlainSegments
from node.core.superpacket import SuperPacket, cut, ordinary, split, unfinished
from node.core.tun_features import NO_OFFLOAD, TunFeatures
from node.wire.endpoint import Endpoint
from node.wire.malformed import Malformed
from node.wire.virtio import PLAIN, VirtioHeader, unpack_virtio
from tests.node.packets import V4, V6, super_packet, tcp
from tests.node.packets import udp as udp_packet
from tests.node.street import RealStreet, lane, session, udp
from tests.node.test_segments import ordinary_packets, super_packets

MTU = 1420
HERE, THERE = map(socket.inet_aton, V4)
HERE6, THERE6 = (socket.inet_pton(socket.AF_INET6, each) for each in V6)
pytest.importorskip("node.accel.track")  # built where a compiler was
CIPHERS = list(import_module("node.accel.segments").ciphers())
FEATURES = TunFeatures()
LONG = PlainSegments(MTU, FEATURES)  # the long way
QUEUED = 10  # writes that a socket in the place of a TUN interface holds (net.unix.max_dgram_qlen)


@contextmanager
def street(
    there: bytes = THERE,
    features: TunFeatures = FEATURES,
    to: Endpoint | None = None,
    cipher: str | None = None,
    segments: bool = True,
    mtu: int = MTU,
) -> Iterator[RealStreet]:
    with udp() as near, udp() as far:
        its_lane = replace(lane(), there=there)
        real = RealStreet(
            its_lane, near, far, mtu=mtu, features=features, cipher=cipher, to=to, segments=segments
        )
        yield real
        real.close()


def has_way(packet: SuperPacket, there: bytes) -> bool:
    """By a lane to that address."""
    if packet.destination != there:
        return False
    try:
        if packet.is_ordinary:
            unfinished(packet)
            return len(packet.packet) <= MTU
        what = cut(packet)
    except Malformed:
        return False
    segment = what.header_length + what.segment
    return segment <= MTU and what.count <= per_send(padded(segment, MTU) + OVERHEAD)


def sealed(packets: list[SuperPacket]) -> list[bytes]:
    """By the long way, as the first datagrams of the session that a street has."""
    ours = session()
    out: list[bytes] = []
    for packet in packets:
        key, receiver = ours.send_key, ours.remote_index
        for rows in LONG.seal_superpacket(key, receiver, len(out), packet):
            out += rows.copies()
    return out


@st.composite
def reads(draw: st.DrawFn) -> list[SuperPacket]:
    """As many as a socket holds."""
    some = st.lists(ordinary_packets() | super_packets(), min_size=1, max_size=6)
    found: list[SuperPacket] = []
    for packet in draw(some):
        found += [packet] * draw(st.sampled_from([1, 1, 1, 2, 5]))
    kept = [packet for packet in found if len(packet.packet) < 30_000][: QUEUED - 1]
    return [packet for packet in kept if packet.packet] or [super_packet(tcp(bytes(3000)), 1000)]


@pytest.mark.parametrize("cipher", CIPHERS)
@example(packets=[super_packet(tcp(bytes(6400)), 100)], there=THERE)
@example(packets=[super_packet(tcp(bytes(6500)), 100)], there=THERE)  # one too many for a send
@example(packets=[super_packet(tcp(bytes(62_000)), 1360)], there=THERE)  # too long for one
@example(packets=[super_packet(tcp(bytes(2000)), 1369)], there=THERE)  # longer than the MTU
@given(packets=reads(), there=st.sampled_from([THERE, THERE6]))
def test_reads_go_out_as_by_the_long_way_up_to_the_first_that_is_odd(
    cipher: str, packets: list[SuperPacket], there: bytes
) -> None:
    ways = [has_way(packet, there) for packet in packets]
    number = ways.index(False) if False in ways else len(ways)
    with street(there, cipher=cipher) as real:
        sent, left = real.out_together(packets)

        assert sent == sealed(packets[:number])
        assert left == packets[number:]
        toll = real.toll()
        assert (toll.sent.count, toll.sent.size) == (len(sent), sum(map(len, sent)))


SIXTEEN = st.integers(0, 0xFFFF)
HEADERS = st.builds(
    VirtioHeader,
    flags=st.integers(0, 3),
    gso_type=st.sampled_from([1, 4, 5, 0x81, 0x84]) | st.integers(1, 255),
    header_length=SIXTEEN,
    gso_size=st.sampled_from([0, 100, 1300]) | SIXTEEN,
    checksum_start=st.sampled_from([20, 24, 40]) | SIXTEEN,
    checksum_offset=st.sampled_from([6, 16]) | SIXTEEN,
)
CHANGES = st.lists(st.tuples(st.integers(0, 79), st.integers(0, 255)), max_size=4)


def said(kind: int, start: int = 20) -> VirtioHeader:
    return VirtioHeader(1, kind, gso_size=100, checksum_start=start, checksum_offset=16)


@example(header=said(1), payload=b"", is_ipv6=False, changes=[])
@example(
    header=said(1), payload=b"x", is_ipv6=False, changes=[(32, 0x40)]
)  # its TCP header ends early
@example(header=said(0x81), payload=b"x", is_ipv6=False, changes=[])
@example(header=said(5, 24), payload=b"x", is_ipv6=True, changes=[])
@given(header=HEADERS, payload=st.binary(max_size=3000), is_ipv6=st.booleans(), changes=CHANGES)
def test_whatever_is_said_of_a_super_packet_it_goes_out_alike_or_the_long_way(
    header: VirtioHeader, payload: bytes, is_ipv6: bool, changes: list[tuple[int, int]]
) -> None:
    packet = bytearray(tcp(payload, is_ipv6=is_ipv6))
    for place, value in changes:
        packet[place % len(packet)] = value
    there = THERE6 if is_ipv6 else THERE
    odd = SuperPacket(header, memoryview(bytes(packet)))
    with street(there) as real:
        expected = (sealed([odd]), []) if has_way(odd, there) else ([], [odd])
        assert real.out_together([odd]) == expected


INSIDE = {  # where in an IPv4 and in an IPv6 packet, and what is written there
    "from elsewhere": (15, 23, 0),
    "for the node": (9, 6, 99),
    "no packet": (0, 0, 0x95),
}


def arrived(packets: list[bytes], odd: str, at: int) -> list[bytes]:
    """Their datagrams, with something odd at that place."""
    packets = list(packets)
    if odd in INSIDE:
        in_four, in_six, value = INSIDE[odd]
        changed = bytearray(packets[at])
        changed[in_four if changed[0] >> 4 == 4 else in_six] = value
        packets[at] = bytes(changed)
    datagrams = session(mirrored=True).seal(packets, MTU)
    match odd:
        case "forged":
            datagrams[at] = datagrams[at][:-1] + bytes([datagrams[at][-1] ^ 1])
        case "not ours":
            datagrams[at] = datagrams[at][:4] + b"\xff" + datagrams[at][5:]
        case "again" if at:
            datagrams[at] = datagrams[at - 1]
        case "lost" if at:
            del datagrams[at - 1]
    return datagrams


@pytest.mark.parametrize("odd", ["nothing", "forged", "not ours", "again", "lost", *INSIDE])
@pytest.mark.parametrize("features", [FEATURES, TunFeatures(udp=False), NO_OFFLOAD])
@given(
    cipher=st.sampled_from(CIPHERS),
    make=st.sampled_from([tcp, udp_packet]),
    is_ipv6=st.booleans(),
    size=st.integers(20, 1300),
    length=st.integers(1, 30_000),
    place=st.integers(0, 63),
)
@settings(max_examples=20)
def test_a_batch_comes_in_as_it_was_sent_up_to_what_is_odd(
    odd: str,
    features: TunFeatures,
    cipher: str,
    make: Callable[..., bytes],
    is_ipv6: bool,
    size: int,
    length: int,
    place: int,
) -> None:
    packets = split(super_packet(make(bytes(length), is_ipv6=is_ipv6), size))[:44]
    datagrams = arrived(packets, odd, place % len(packets))
    expected = len(datagrams)
    if odd in INSIDE or (odd != "nothing" and place % len(packets)):
        expected = place % len(packets) - (odd == "lost")
    elif odd in ("forged", "not ours"):
        expected = 0
    there = HERE6 if is_ipv6 else HERE
    with street(there, features, cipher=cipher) as real:
        writes, left = real.into_together(datagrams)

        came = [packet for write in writes for packet in split(read(write, real.skip))]
        assert came == packets[: len(came)]
        assert left == datagrams[len(came) :]
        assert len(came) == expected or len(writes) > QUEUED
        toll = real.toll().received
        assert (toll.count, toll.size) == (len(came), sum(map(len, datagrams[: len(came)])))


def test_what_the_interface_does_not_take_is_left() -> None:
    packets = [
        tcp(bytes(100), port=port, sequence=sequence, identification=sequence // 100)
        for port in range(40_000, 40_020)
        for sequence in (100, 200)
    ]
    datagrams = session(mirrored=True).seal(packets, MTU)
    with street(HERE) as real:
        real.tun.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # as little as there is
        came: list[bytes] = []
        while left := datagrams[len(came) :]:
            writes, left = real.into_together(left)
            came += [packet for write in writes for packet in split(read(write, real.skip))]

            assert 0 < len(writes) < 20, "two packets each"
            assert came == packets[: len(came)]
            assert left == datagrams[len(came) :]
        assert real.toll().received.count == len(packets)


@pytest.mark.parametrize("make", [tcp, udp_packet])
def test_packets_of_two_flows_are_not_merged(make: Callable[..., bytes]) -> None:
    packets = []
    for i in range(6):
        more = {"sequence": 100 * i} if make is tcp else {}  # as if one went on with the other
        packets.append(make(bytes(100), port=40_000 + i % 2, identification=i, **more))
    datagrams = session(mirrored=True).seal(packets, MTU)
    with street(HERE) as real:
        writes, left = real.into_together(datagrams)

        assert ([write[real.skip :] for write in writes], left) == (packets, [])


def test_from_elsewhere_outside_nothing_comes_in() -> None:
    datagrams = session(mirrored=True).seal([tcp(b"x")] * 2, MTU)
    with street(HERE) as real, udp() as stranger:
        stranger.sendto(datagrams[0], real.near_socket.getsockname())
        received = real.near.receive()

        assert received is not None
        assert (received[0].copies(), received[1]) == (datagrams[:1], stranger.getsockname())
        assert real.into_together(datagrams) == ([bytes(10) + tcp(b"x")] * 2, [])


def test_what_the_kernel_does_not_send_is_left_and_no_counter_is_used_twice() -> None:
    packets = [ordinary(tcp(b"x"))] * 3
    with street(to=Endpoint("127.0.0.1", 0)) as real:
        assert real.out_together(packets) == ([], packets)
        assert real.toll().sent.count == len(packets)


def test_a_socket_that_cannot_send_many_at_once_is_not_asked_to() -> None:
    packets, bulk = [ordinary(tcp(b"x"))] * 3, super_packet(tcp(bytes(3000)), 1000)
    with street(segments=False) as real:
        assert real.out_together([*packets, bulk]) == (sealed(packets), [bulk])


@pytest.mark.parametrize("mtu", [576, 9000, 65535])
def test_whatever_the_mtu(mtu: int) -> None:
    longest = [tcp(bytes(min(mtu, 60_000) - 52)), tcp(b"x")]
    theirs = session(mirrored=True)
    with street(mtu=mtu) as out, street(HERE, mtu=mtu) as into:
        for packet in longest:
            datagram = out.out(ordinary(packet))
            assert datagram is not None
            assert theirs.open([datagram]).plaintexts[0][: len(packet)] == packet
            assert into.into(theirs.seal([packet], mtu)[0]) == packet


def test_each_lane_has_its_own_keys() -> None:
    other, theirs = (session(local=70, keys=b"\x03\x04", mirrored=each) for each in (False, True))
    packets = [tcp(b"to one"), tcp(b"to the other", is_ipv6=True), tcp(b"to one")]
    with street() as real:
        beside = replace(real.lane, sends=other, receives=other, there=THERE6)
        real.track.open(beside)
        sent, left = real.out_together([ordinary(packet) for packet in packets])

        assert left == []
        [one, another, third] = sent
        assert [one, third] == sealed([ordinary(packets[0]), ordinary(packets[2])])
        [plain] = theirs.open([another]).plaintexts
        assert plain.startswith(packets[1])
        assert (real.toll().sent.count, real.track.toll(beside).sent.count) == (2, 1)


def test_a_lane_uses_its_own_counters_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.accel.track.COUNTERS", 5)
    packets = [ordinary(tcp(b"x"))] * 3
    bulk = super_packet(tcp(bytes(3000)), 1000)
    with street() as real:
        assert real.out_together([*packets, bulk]) == (sealed(packets), [bulk])
        sent, left = real.out_together(packets)

        assert (len(sent), left) == (2, packets[:1])
        assert real.out_together(packets) == ([], packets)


def read(write: bytes, skip: int) -> SuperPacket:
    return SuperPacket(unpack_virtio(write[:skip]) if skip else PLAIN, memoryview(write)[skip:])
