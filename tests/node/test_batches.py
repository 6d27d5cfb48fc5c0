"""Batches through a device: what comes of them is what would have come packet by packet."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.core.device import (
    DeliverWrites,
    Device,
    Heard,
    Output,
    PeerConfig,
    Transmit,
    TransmitRows,
)
from node.core.landing import Landing
from node.core.rows import Rows, transport_runs
from node.core.runs import by_destination
from node.core.superpacket import SuperPacket, ordinary
from node.core.tun_features import NO_OFFLOAD
from node.io.data_path import fastest
from node.io.settings import WAYS
from node.keys import NodePrivate
from node.wire.virtio import GSO_TCPV4, VirtioHeader
from tests.node.tunnel import packet

A, B, C = "100.64.1.10", "100.64.2.20", "100.64.3.30"


class Pair:
    """Two devices with a session, which `a` began; what `a` sends lies in `wire`."""

    def __init__(self, way: str) -> None:
        rng = random.Random(1)
        keys = [NodePrivate.from_seed(rng.randbytes(32)) for _ in range(2)]
        self.a, self.b = (Device(key, random=rng.randbytes, epoch=0.0) for key in keys)
        for device in (self.a, self.b):
            device.use(fastest(1280, NO_OFFLOAD, (way,)), NO_OFFLOAD)
        self.a.set_peers([PeerConfig(self.b.public, (f"{B}/32",))], 0.0)
        self.b.set_peers([PeerConfig(self.a.public, (f"{A}/32",))], 0.0)
        self.landing = Landing()
        self.now = 1.0

    def shake_hands(self) -> None:
        [initiation] = self.a.initiate(self.b.public, self.now)
        assert isinstance(initiation, Transmit)
        [_, response] = self.b.receive(initiation.datagrams, "from a", self.now)
        assert isinstance(response, Transmit)
        [*_, confirming] = self.a.receive(response.datagrams, "from b", self.now)
        assert isinstance(confirming, Transmit)
        self.b.receive(confirming.datagrams, "from a", self.now)

    def seal(self, packets: list[bytes]) -> list[bytes]:
        [sent] = self.a.send_batch([ordinary(each) for each in packets], self.now)
        assert isinstance(sent, TransmitRows)
        return [datagram for rows in sent.rows for datagram in rows.copies()]

    def open(self, datagrams: list[bytes]) -> list[Output]:
        return [
            output
            for index, rows in self.landing.lay(datagrams)
            for output in self.b.receive_rows(index or 0, rows, "from a", self.now)
        ]


@pytest.fixture(params=WAYS)
def pair(request: pytest.FixtureRequest) -> Pair:
    made = Pair(request.param)
    made.shake_hands()
    return made


def written(outputs: list[Output]) -> list[bytes]:
    writes = [each.writes for each in outputs if isinstance(each, DeliverWrites)]
    return [bytes(write) for batch in writes for write in batch]


def some_packets(count: int, source: str = A) -> list[bytes]:
    return [packet(source, B, bytes([i]) * 100) for i in range(count)]


def test_a_batch_arrives_whole_and_once(pair: Pair) -> None:
    packets = some_packets(20)
    datagrams = pair.seal(packets)
    outputs = pair.open(datagrams)
    assert written(outputs) == packets
    assert [each for each in outputs if isinstance(each, Heard)] == [Heard(pair.a.public, "from a")]
    assert pair.open(datagrams) == []
    assert pair.b.counters["replayed"] == 20


def test_both_ends_count_the_same_bytes(pair: Pair) -> None:
    before = pair.a.peer_status(pair.b.public).tx_bytes, pair.b.peer_status(pair.a.public).rx_bytes
    datagrams = pair.seal(some_packets(20))
    pair.open(datagrams)
    after = pair.a.peer_status(pair.b.public).tx_bytes, pair.b.peer_status(pair.a.public).rx_bytes
    size = sum(map(len, datagrams))
    assert (after[0] - before[0], after[1] - before[1]) == (size, size)


def test_a_forged_datagram_costs_no_other(pair: Pair) -> None:
    packets = some_packets(5)
    datagrams = pair.seal(packets)
    datagrams[2] = datagrams[2][:-1] + bytes([datagrams[2][-1] ^ 1])
    assert written(pair.open(datagrams)) == packets[:2] + packets[3:]
    assert pair.b.counters["forged"] == 1


def test_what_a_peer_may_not_send_is_dropped(pair: Pair) -> None:
    mine, strange = some_packets(2), some_packets(2, source=C)
    outputs = pair.open(pair.seal([mine[0], *strange, mine[1]]))
    assert written(outputs) == mine
    assert pair.b.counters["source_not_allowed"] == 2


def test_batches_and_single_packets_share_one_session(pair: Pair) -> None:
    packets = some_packets(3)
    [single] = pair.a.send(packets[:1], pair.now)
    assert isinstance(single, Transmit)
    datagrams = single.datagrams + pair.seal(packets[1:])
    assert written(pair.open(datagrams)) == packets
    assert pair.open(datagrams[::-1]) == []


def test_without_a_session_a_batch_waits_for_the_handshake() -> None:
    pair, packets = Pair("plain"), some_packets(3)
    [initiation] = pair.a.send_batch([ordinary(each) for each in packets], pair.now)
    assert isinstance(initiation, Transmit)
    [_, response] = pair.b.receive(initiation.datagrams, "from a", pair.now)
    assert isinstance(response, Transmit)
    [*_, waited] = pair.a.receive(response.datagrams, "from b", pair.now)
    assert isinstance(waited, Transmit)
    assert written(pair.open(waited.datagrams)) == packets


def test_an_expired_session_opens_no_batch(pair: Pair) -> None:
    datagrams = pair.seal(some_packets(3))
    pair.now += 180.0
    assert pair.open(datagrams) == []
    assert pair.b.counters["expired_session"] == 3


def test_a_super_packet_that_cannot_be_cut_costs_no_other(pair: Pair) -> None:
    [whole] = some_packets(1)
    lie = SuperPacket(VirtioHeader(1, GSO_TCPV4, 0, 1000, 20, 16), memoryview(whole[:24]))
    assert [*pair.a.send_batch([lie], pair.now)] == []
    [sent] = pair.a.send_batch([ordinary(whole), lie], pair.now)
    assert isinstance(sent, Transmit)
    assert written(pair.open(sent.datagrams)) == [whole]
    assert pair.a.counters["bad_packet"] == 2


def test_a_batch_for_nobody_is_counted(pair: Pair) -> None:
    assert [*pair.a.send_batch([ordinary(packet(A, C))] * 3, pair.now)] == []
    assert [*pair.a.send_batch([ordinary(b"no IP packet")], pair.now)] == []
    counters = pair.a.counters
    assert (counters["no_peer_for_destination"], counters["bad_packet"]) == (3, 1)


def test_an_unknown_index_is_counted(pair: Pair) -> None:
    [datagram] = pair.seal(some_packets(1))
    strange = datagram[:4] + bytes(4) + datagram[8:]
    rows = Rows(bytearray(strange * 3), 0, 3 * len(strange), len(strange))
    [(index, run)] = transport_runs(rows)
    assert index == 0
    assert [*pair.b.receive_rows(0, run, "from a", pair.now)] == []
    assert pair.b.counters["unknown_index"] == 3


def test_neighbours_with_one_destination_stay_together() -> None:
    packets = [ordinary(packet(A, to)) for to in (B, B, C, B)]
    assert [len(each) for each in by_destination(packets)] == [2, 1, 1]
    assert [each for run in by_destination(packets) for each in run] == packets


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 1, 31, 32, 33, 100, 1452, 30000]),
            st.sampled_from([b"\4\0\0\0abcd", b"\4\0\0\0efgh", b"TS"]),
        ),
        max_size=60,
    )
)
def test_what_lands_is_what_was_relayed(shapes: list[tuple[int, bytes]]) -> None:
    datagrams = [head.ljust(size, b"x")[:size] for size, head in shapes]
    landed: list[bytes] = []
    for index, rows in Landing().lay(datagrams):
        for datagram in rows.copies():
            assert index == (
                int.from_bytes(datagram[4:8], "little")
                if len(datagram) >= 32 and datagram[:4] == b"\4\0\0\0"
                else None
            )
            landed.append(datagram)
    assert landed == [datagram for datagram in datagrams if datagram]
