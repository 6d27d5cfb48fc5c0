"""A peer relay and its clients: the handshake, what is passed on, and what is not."""

from __future__ import annotations

import itertools

import pytest
from msgspec.structs import replace

from node.core.actions import SendUdp
from node.core.disco import DiscoBox
from node.core.peer_relay_client import Bound, PeerRelayClient
from node.core.peer_relay_server import (
    BIND_LIFETIME,
    MOST,
    STEADY_LIFETIME,
    PeerRelayServer,
    challenge_mac,
)
from node.core.ways import PeerRelayed
from node.keys import DiscoPrivate, DiscoPublic, NodePrivate
from node.wire.disco import Bind, RelayEndpoint
from node.wire.endpoint import Endpoint
from node.wire.geneve import DISCO, WIREGUARD, GeneveHeader, parse_geneve
from tests.node.vectors import VECTORS

RELAY, RELAY_LAN = Endpoint("192.0.2.30", 41641), Endpoint("192.168.3.30", 41641)
A_AT, B_AT = Endpoint("203.0.113.10", 50001), Endpoint("203.0.113.20", 50002)
ELSEWHERE = Endpoint("203.0.113.99", 9)
NODE_A, NODE_B = (NodePrivate.from_seed(bytes([n]) * 32).public for n in (1, 2))


class Trio:
    """Two clients and the relay between them; datagrams are carried by hand."""

    def __init__(self) -> None:
        numbers = itertools.count(1)
        random = lambda size: next(numbers).to_bytes(size)  # noqa: E731
        keys = [DiscoPrivate.from_seed(bytes([n]) * 32) for n in (3, 4, 5)]
        keys[:2] = sorted(keys[:2], key=lambda key: key.public.raw)
        self.a, self.b = keys[0].public, keys[1].public
        self.alice = PeerRelayClient(DiscoBox(keys[0]), random)
        self.bob = PeerRelayClient(DiscoBox(keys[1]), random)
        self.server = PeerRelayServer(keys[2], random, 0.0)
        self.server.addresses = [RELAY]

    def allocate(self, now: float = 0.0) -> RelayEndpoint:
        endpoint = self.server.allocate((self.a, self.b), now)
        assert endpoint is not None
        return endpoint

    def bind(self, now: float = 0.0, ends: str = "ab") -> RelayEndpoint:
        endpoint = self.allocate(now)
        for end, client, node, key, at in (
            ("a", self.alice, NODE_B, self.b, A_AT),
            ("b", self.bob, NODE_A, self.a, B_AT),
        ):
            if end in ends:
                [bind] = client.offered(node, key, endpoint, now)
                [challenge] = self.server.receive_control(bind.datagrams[0], at, now)
                assert challenge.to == at
                answer, bound = client.receive_control(challenge.datagrams[0], RELAY, now)
                assert isinstance(answer, SendUdp)
                assert bound == Bound(node, PeerRelayed(RELAY, endpoint.vni))
                assert self.server.receive_control(answer.datagrams[0], at, now) == []
        return endpoint


# --- as others do it ---


def test_the_challenge_is_the_mac_of_the_vector() -> None:
    vector = VECTORS["relay_challenge_mac"]
    remote = DiscoPublic(bytes.fromhex(VECTORS["keys"][vector["remote"]]["public"]))
    address, _, port = vector["src"].rpartition(":")
    said = Bind(vector["vni"], vector["generation"], remote)
    mac = challenge_mac(bytes.fromhex(vector["mac_secret"]), said, Endpoint(address, int(port)))
    assert mac.hex() == vector["mac"]


def test_control_messages_and_data_wear_the_headers_of_the_vectors() -> None:
    vector = VECTORS["geneve"]
    for words, header in (
        ("disco_control", GeneveHeader(DISCO, vector["vni"], control=True)),
        ("disco_data", GeneveHeader(DISCO, vector["vni"])),
        ("wireguard", GeneveHeader(WIREGUARD, vector["vni"])),
    ):
        assert header.pack().hex() == vector[words]
        assert parse_geneve(bytes.fromhex(vector[words]))[0] == header


# --- the handshake ---


def test_a_pair_gets_one_endpoint_however_often_it_asks() -> None:
    trio = Trio()
    first = trio.allocate(0.0)
    assert trio.allocate(1.0) == first
    assert (first.vni, first.lamport_id, first.addresses) == (1, 1, (RELAY,))
    assert (first.bind_lifetime, first.steady_lifetime) == (30 * 10**9, 300 * 10**9)


def test_without_an_address_of_its_own_or_with_keys_out_of_order_there_is_none() -> None:
    trio = Trio()
    assert trio.server.allocate((trio.b, trio.a), 0.0) is None
    assert trio.server.allocate((trio.a, trio.a), 0.0) is None
    trio.server.addresses = []
    assert trio.server.allocate((trio.a, trio.b), 0.0) is None


def test_bound_on_both_sides_it_passes_everything_on_unread() -> None:
    trio = Trio()
    vni = trio.bind().vni
    data = [GeneveHeader(WIREGUARD, vni).pack() + bytes([n]) * 30 for n in (1, 2)]
    assert trio.server.forward(data, A_AT, 1.0) == [SendUdp(data, B_AT)]
    assert trio.server.forward(data[:1], B_AT, 1.0) == [SendUdp(data[:1], A_AT)]
    assert trio.server.counters["peer_relay_forwarded_packets"] == 3


def test_until_both_are_bound_nothing_passes() -> None:
    trio = Trio()
    vni = trio.bind(ends="a").vni
    data = [GeneveHeader(WIREGUARD, vni).pack() + b"data"]
    assert trio.server.forward(data, A_AT, 1.0) == []
    assert trio.server.counters["peer_relay_unbound"] == 1


@pytest.mark.parametrize("vni", [1, 2])
def test_it_passes_on_between_the_two_bound_addresses_only(vni: int) -> None:
    trio = Trio()
    trio.bind()
    data = [GeneveHeader(WIREGUARD, vni).pack() + b"data"]
    assert trio.server.forward(data, ELSEWHERE, 1.0) is None


def test_a_new_address_takes_another_handshake_and_then_the_old_one_is_nobodys() -> None:
    trio = Trio()
    endpoint = trio.bind()
    data = [GeneveHeader(WIREGUARD, endpoint.vni).pack() + b"data"]
    [bind] = trio.alice.offered(NODE_B, trio.b, trio.allocate(10.0), 10.0)
    assert trio.server.forward(data, B_AT, 10.0) == [SendUdp(data, A_AT)]  # not yet
    [challenge] = trio.server.receive_control(bind.datagrams[0], ELSEWHERE, 10.0)
    answer, _ = trio.alice.receive_control(challenge.datagrams[0], RELAY, 10.0)
    assert isinstance(answer, SendUdp)
    trio.server.receive_control(answer.datagrams[0], ELSEWHERE, 10.0)
    assert trio.server.forward(data, B_AT, 10.0) == [SendUdp(data, ELSEWHERE)]
    assert trio.server.forward(data, A_AT, 10.0) is None


def test_an_answer_from_another_address_than_the_challenge_went_to_binds_nothing() -> None:
    trio = Trio()
    endpoint = trio.allocate()
    [bind] = trio.alice.offered(NODE_B, trio.b, endpoint, 0.0)
    [challenge] = trio.server.receive_control(bind.datagrams[0], A_AT, 0.0)
    answer, _ = trio.alice.receive_control(challenge.datagrams[0], RELAY, 0.0)
    assert isinstance(answer, SendUdp)
    trio.server.receive_control(answer.datagrams[0], ELSEWHERE, 0.0)
    assert trio.server.counters["peer_relay_refused"] == 1
    assert trio.server.counters["peer_relay_bound"] == 0


@pytest.mark.parametrize(("later", "bound"), [(100.0, 1), (239.0, 1), (500.0, 0)])
def test_a_challenge_is_good_for_two_lives_of_the_secret_and_no_longer(
    later: float, bound: int
) -> None:
    trio = Trio()
    endpoint = trio.allocate()
    [bind] = trio.alice.offered(NODE_B, trio.b, endpoint, 0.0)
    [challenge] = trio.server.receive_control(bind.datagrams[0], A_AT, 0.0)
    answer, _ = trio.alice.receive_control(challenge.datagrams[0], RELAY, 0.0)
    assert isinstance(answer, SendUdp)
    for now in (130.0, 260.0, 390.0):  # another client's handshakes renew the secret
        if now < later:
            [other] = trio.bob.offered(NODE_A, trio.a, endpoint, now)
            trio.server.receive_control(other.datagrams[0], B_AT, now)
            trio.bob.forget()
    trio.server.receive_control(answer.datagrams[0], A_AT, later)
    assert trio.server.counters["peer_relay_bound"] == bound


def test_who_is_not_of_the_pair_is_not_even_opened() -> None:
    trio = Trio()
    endpoint = trio.allocate()
    stranger = PeerRelayClient(DiscoBox(DiscoPrivate.from_seed(b"\x09" * 32)), lambda n: bytes(n))
    faked = replace(endpoint, clients=(DiscoPrivate.from_seed(b"\x09" * 32).public, trio.b))
    [bind] = stranger.offered(NODE_B, trio.b, faked, 0.0)
    assert trio.server.expects(bind.datagrams[0]) is False
    assert trio.server.receive_control(bind.datagrams[0], ELSEWHERE, 0.0) == []
    assert trio.server.counters["peer_relay_stranger"] == 1


@pytest.mark.parametrize("cut", [0, 7, 8, 20, 60, 150])
def test_rubbish_is_dropped_and_counted(cut: int) -> None:
    trio = Trio()
    [bind] = trio.alice.offered(NODE_B, trio.b, trio.allocate(), 0.0)
    torn = bind.datagrams[0][:cut]
    assert trio.server.receive_control(torn, A_AT, 0.0) == []
    assert trio.alice.receive_control(torn, RELAY, 0.0) == []
    assert sum(trio.server.counters.values()) == sum(trio.alice.counters.values()) == 1


# --- time ---


def test_an_endpoint_that_nobody_binds_goes_after_thirty_seconds() -> None:
    trio = Trio()
    trio.allocate(0.0)
    assert trio.server.deadline == BIND_LIFETIME
    trio.server.tick(BIND_LIFETIME)
    assert len(trio.server) == 0
    assert not trio.server.deadline


def test_an_endpoint_with_a_silent_side_goes_after_five_minutes() -> None:
    trio = Trio()
    vni = trio.bind().vni
    data = [GeneveHeader(WIREGUARD, vni).pack() + b"data"]
    trio.server.forward(data, A_AT, 200.0)
    assert trio.server.deadline == STEADY_LIFETIME
    trio.server.forward(data, B_AT, 250.0)
    assert trio.server.deadline == 200.0 + STEADY_LIFETIME
    trio.server.tick(500.0)
    assert trio.server.forward(data, A_AT, 500.0) is None
    assert trio.allocate(500.0).lamport_id == 2


def test_there_is_a_limit_to_what_one_relay_serves() -> None:
    trio = Trio()
    for number in range(MOST):
        other = DiscoPublic(bytes([255]) + number.to_bytes(31))
        assert trio.server.allocate((trio.a, other), 0.0) is not None
    assert trio.server.allocate((trio.a, trio.b), 0.0) is None
    assert trio.server.counters["peer_relay_full"] == 1


def test_a_client_asks_every_address_again_each_second_and_gives_up() -> None:
    trio = Trio()
    trio.server.addresses = [RELAY, RELAY_LAN]
    sent = trio.alice.offered(NODE_B, trio.b, trio.allocate(), 0.0)
    assert [each.to for each in sent] == [RELAY, RELAY_LAN]
    times = []
    while (due := trio.alice.deadline) is not None:
        sent = trio.alice.tick(due)
        times += [due] if sent else []
        assert trio.alice.deadline is None or trio.alice.deadline > due
    assert times == [float(n) for n in range(1, 30)]
    assert len(trio.alice) == 0


def test_a_client_forgets_a_way_on_which_nothing_comes_any_more() -> None:
    trio = Trio()
    way = PeerRelayed(RELAY, trio.bind().vni)
    assert trio.alice.heard(way, 100.0) == NODE_B
    assert trio.alice.heard(replace(way, vni=2), 100.0) is None
    assert trio.alice.deadline == 400.0
    trio.alice.tick(400.0)
    assert trio.alice.heard(way, 400.0) is None


# --- what a client is offered ---


def test_an_endpoint_for_others_is_not_bound() -> None:
    trio = Trio()
    endpoint = replace(trio.allocate(), clients=(trio.b, trio.server.public))
    assert trio.alice.offered(NODE_B, trio.b, endpoint, 0.0) == []


def test_of_one_relays_offers_the_newest_counts() -> None:
    trio = Trio()
    endpoint = trio.allocate()
    newer = replace(endpoint, lamport_id=2, vni=7)
    assert len(trio.alice.offered(NODE_B, trio.b, newer, 0.0)) == 1
    assert trio.alice.offered(NODE_B, trio.b, newer, 0.1) == []  # under way
    assert trio.alice.offered(NODE_B, trio.b, endpoint, 0.2) == []
    assert len(trio.alice) == 1


def test_an_endpoint_just_bound_is_not_bound_again_because_the_peer_offers_it_too() -> None:
    trio = Trio()
    endpoint = trio.bind()
    assert trio.alice.offered(NODE_B, trio.b, endpoint, 0.1) == []
    assert trio.alice.heard(PeerRelayed(RELAY, endpoint.vni), 0.1) == NODE_B
    assert len(trio.alice.offered(NODE_B, trio.b, endpoint, 5.0)) == 1


def test_a_challenge_that_nobody_asked_for_is_not_answered() -> None:
    trio = Trio()
    [bind] = trio.alice.offered(NODE_B, trio.b, trio.allocate(), 0.0)
    [challenge] = trio.server.receive_control(bind.datagrams[0], A_AT, 0.0)
    trio.alice.forget()
    assert trio.alice.receive_control(challenge.datagrams[0], RELAY, 0.0) == []
    trio.alice.offered(NODE_B, trio.b, trio.allocate(), 0.1)  # another generation
    assert trio.alice.receive_control(challenge.datagrams[0], RELAY, 0.1) == []
    assert trio.alice.counters == {"peer_relay_stranger": 1, "peer_relay_refused": 1}
