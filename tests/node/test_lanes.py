"""Lone packets take a lane: the same datagrams and packets, and the mesh knows of them all the same."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import to_builtins
from msgspec.structs import replace

from node.core.actions import SendRows
from node.core.courier import straight
from node.core.lane import Lane, Toll
from node.core.lanes import SOON
from node.core.plain_track import PlainTrack
from node.core.superpacket import SuperPacket, ordinary
from node.io.loop import Loop
from node.wire.endpoint import Endpoint
from node.wire.virtio import GSO_NONE, GSO_TCPV6, NEEDS_CHECKSUM, PLAIN, VirtioHeader, unpack_virtio
from tests.node import network
from tests.node.nat_model import port_restricted
from tests.node.network import Machine, Network
from tests.node.street import MTU, THERE, RealStreet, Street, lane, plain, session, udp

HERE, ELSEWHERE = socket.inet_aton("100.64.1.1"), socket.inet_aton("100.64.3.1")
UNFINISHED = VirtioHeader(NEEDS_CHECKSUM, 0, 0, 0, 20, 6)


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


def test_what_comes_in_lies_behind_no_remains_of_what_went_out(street: Street) -> None:
    [answer] = session(mirrored=True).seal([ip(THERE, HERE, b"answer")], MTU)
    for _ in range(3):
        assert street.out(read(THERE, b"question"))

    assert street.into(answer) == ip(THERE, HERE, b"answer")


@pytest.mark.parametrize(
    "why",
    [
        "another address", "longer than the MTU", "a checksum beyond its end",
        "a stump of another version", "a super-packet of another version",
    ],
)  # fmt: skip
def test_what_is_odd_goes_out_the_long_way(street: Street, why: str) -> None:
    odd = {
        "another address": read(ELSEWHERE, b"x"),
        "a super-packet of another version": SuperPacket(
            VirtioHeader(0, GSO_TCPV6, 0, 100, 20, 16), read(THERE, b"x" * 300).packet
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


RAW_HEADERS = st.binary(min_size=9, max_size=9).map(
    lambda raw: raw[:1] + bytes([GSO_NONE]) + raw[1:]
)
HEADERS = st.sampled_from([PLAIN, UNFINISHED]) | st.builds(unpack_virtio, RAW_HEADERS)
CHANGES = st.lists(st.tuples(st.integers(0, 59), st.integers(0, 255)), max_size=4)


@given(header=HEADERS, payload=st.binary(max_size=MTU), changes=CHANGES)
def test_an_ordinary_packet_goes_out_alike_or_the_long_way(
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


def test_a_lane_ends_when_its_time_is_over(pair: tuple[socket.socket, socket.socket]) -> None:
    over = replace(lane(), until=Loop.now())
    [datagram] = session(mirrored=True).seal([ip(THERE, HERE, b"late")], MTU)
    real = RealStreet(over, *pair)

    for street in (plain(over), real):
        assert street.out(read(THERE, b"late")) is None
        assert street.into(datagram) is None
    real.close()


def test_what_passed_is_known_as_if_it_had_gone_the_long_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network, "DATA_PATH", "plain")

    (passed, by_lanes), (none, long_way) = life(PlainTrack), life(Shut)

    assert passed > 800
    assert none == 0
    assert by_lanes == long_way


@pytest.mark.parametrize("in_batches", [True, False])
def test_packets_that_come_together_want_a_lane_where_there_is_one_for_them(
    in_batches: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "DATA_PATH", "plain")
    monkeypatch.setattr(Counting, "in_batches", in_batches)
    net, a, b = neighbours(Counting)
    net.send(a, b, b"to find the way")
    net.send(b, a, b"because who only listens has no lane")
    net.run(1.0)
    tracks = [machine.track for machine in (a, b)]
    for machine in (a, b):
        net.perform(machine, machine.mesh.lanes.leave(net.now))
        machine.mesh.lanes.forget()
    before = [len(track.opened) for track in tracks if isinstance(track, Counting)]

    packet = ordinary(ip(socket.inet_aton(a.overlay), socket.inet_aton(b.overlay), b"x"))
    for _ in range(20):
        actions = a.mesh.receive_batch([packet] * 2, net.now)
        [sent] = [action for action in actions if isinstance(action, SendRows)]
        net.perform(a, [])  # the rest of it
        for index, rows in b.landing.lay([each for run in sent.rows for each in run.copies()]):
            back = straight(b.mesh.roster[a.key], net.now)
            assert back is not None
            net.perform(b, list(b.mesh.receive_rows(index or 0, rows, back, net.now)))
        net.run(0.01)

    after = [len(track.opened) for track in tracks if isinstance(track, Counting)]
    opened = [y - x for x, y in zip(before, after, strict=True)]
    assert all(each >= 3 for each in opened) if in_batches else opened == [0, 0]


def test_a_lane_is_open_again_at_once_but_not_for_whoever_asks_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network, "DATA_PATH", "plain")
    net, a, b = neighbours(Counting)
    for _ in range(2):  # to find the way, and to want a lane there
        net.send(a, b, b"question")
        net.run(1.0)
    track = a.track
    assert isinstance(track, Counting)
    before = len(track.opened)

    def disturb() -> None:
        net.perform(a, a.mesh.receive_udp([b"junk" * 10], Endpoint("192.0.2.1", 9), net.now))
        net.run(0.001)

    disturb()
    assert len(track.opened) == before + 1
    for _ in range(100):
        disturb()
    assert len(track.opened) <= before + 1 + 0.1 / SOON


class Counting(PlainTrack):
    def __init__(self, mtu: int) -> None:
        super().__init__(mtu)
        self.opened: list[Lane] = []

    def open(self, lane: Lane) -> None:
        self.opened.append(lane)
        super().open(lane)


class Shut(PlainTrack):
    """Where every packet is odd."""

    def out(self, packet: SuperPacket, now: float) -> None:
        return None

    def into(self, datagram: bytes, source: tuple[str, int], now: float) -> None:
        return None


def life(track: type[PlainTrack]) -> tuple[int, dict[str, object]]:
    """Of two direct nodes that ask and answer every 20 ms, while their path dies and is mended: how many
    packets took a lane, and what is known in the end."""
    net, a, b = neighbours(track)
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
        "status": [to_builtins(machine.mesh.status(net.now)) for machine in both],
    }


def neighbours(track: type[PlainTrack]) -> tuple[Network, Machine, Machine]:
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
    return net, a, b


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
