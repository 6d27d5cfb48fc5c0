"""Two devices talk: handshakes, data, roaming, and what each refuses."""

import pytest

from node.core.device import (
    Deliver,
    Device,
    Heard,
    InitiationTooOld,
    Output,
    PeerConfig,
    Reply,
    Transmit,
)
from node.core.limits import LOAD_HANDSHAKES, QUEUED_BATCHES
from node.keys import NodePrivate, NodePublic
from node.wire.endpoint import Endpoint
from tests.node.simulation import weight
from tests.node.tunnel import EPOCH, End, Tunnel, packet

INITIATION, RESPONSE, COOKIE_REPLY, TRANSPORT = 1, 2, 3, 4


# --- from nothing to data


def test_the_first_packet_makes_the_handshake_and_then_arrives() -> None:
    tunnel = Tunnel()
    tunnel.send(tunnel.a, b"hello")
    tunnel.run()
    assert tunnel.b.delivered == [b"hello"]
    assert (tunnel.a.completed, tunnel.b.completed) == ([True], [False])
    assert [datagram[0] for _, datagram in tunnel.a.sent] == [INITIATION, TRANSPORT]
    assert [datagram[0] for _, datagram in tunnel.b.sent] == [RESPONSE]


def test_a_wanted_handshake_without_data_ends_with_a_keepalive() -> None:
    tunnel = Tunnel()
    tunnel.take(tunnel.a, tunnel.a.device.initiate(tunnel.b.key, tunnel.now))
    tunnel.run()
    assert [len(datagram) for _, datagram in tunnel.a.sent] == [148, 32]
    assert tunnel.b.completed == [False]
    assert tunnel.b.delivered == []


def test_initiate_does_nothing_while_keys_are_there_unless_renewal_is_asked() -> None:
    tunnel = connected()
    tunnel.run(10)
    assert tunnel.a.device.initiate(tunnel.b.key, tunnel.now) == []
    [renewal] = tunnel.a.device.initiate(tunnel.b.key, tunnel.now, renew=True)
    assert isinstance(renewal, Transmit)
    assert not renewal.is_data


def test_data_is_told_from_handshakes_and_keepalives() -> None:
    tunnel = connected()
    [data] = tunnel.a.device.send([packet("100.64.1.10", "100.64.2.20")], tunnel.now)
    assert isinstance(data, Transmit)
    assert data.is_data
    [_, keepalive] = handshake_until_response(Tunnel())
    assert isinstance(keepalive, Transmit)
    assert not keepalive.is_data


def test_packets_flow_both_ways_and_are_counted() -> None:
    tunnel = connected()
    tunnel.send(tunnel.a, b"one", b"two")
    tunnel.send(tunnel.b, b"three")
    tunnel.run()
    assert tunnel.b.delivered[-2:] == [b"one", b"two"]
    assert tunnel.a.delivered == [b"three"]
    a = tunnel.a.device.peer_status(tunnel.b.key)
    b = tunnel.b.device.peer_status(tunnel.a.key)
    assert (a.tx_bytes, b.tx_bytes) == (b.rx_bytes, a.rx_bytes)
    assert tunnel.a.device.counters == tunnel.b.device.counters == {}  # nothing was refused
    assert a.tx_bytes == sum(len(datagram) for _, datagram in tunnel.a.sent)
    assert a.last_handshake == pytest.approx(1000.02)


def test_the_responder_waits_for_the_initiators_first_message() -> None:
    tunnel = Tunnel()
    a, b = tunnel.a.device, tunnel.b.device
    [initiation] = a.initiate(tunnel.b.key, 0.0)
    [heard, response] = b.receive(datagrams(initiation), "from-a", 0.0)
    assert heard == Heard(tunnel.a.key, "from-a")
    assert b.send([packet("100.64.2.20", "100.64.1.10", b"reply")], 0.0) == []
    [_, _, keepalive] = a.receive(datagrams(response), "from-b", 0.0)
    [_, _, data] = b.receive(datagrams(keepalive), "from-a", 0.0)
    [_, delivered] = a.receive(datagrams(data), "from-b", 0.0)
    assert isinstance(delivered, Deliver)
    assert delivered.packets == [packet("100.64.2.20", "100.64.1.10", b"reply")]


def test_the_oldest_batches_give_way_while_no_keys_come() -> None:
    tunnel = Tunnel()
    for i in range(QUEUED_BATCHES + 2):
        tunnel.send(tunnel.a, b"%d" % i)
    tunnel.run()
    assert tunnel.b.delivered == [b"%d" % i for i in range(2, QUEUED_BATCHES + 2)]
    assert tunnel.a.device.counters["queue_full"] == 2


def test_the_same_preshared_key_joins_and_another_does_not() -> None:
    same = Tunnel(psk=(b"\1" * 32, b"\1" * 32))
    same.send(same.a, b"hello")
    same.run()
    assert same.b.delivered == [b"hello"]

    different = Tunnel(psk=(b"\1" * 32, b"\2" * 32))
    different.send(different.a, b"hello")
    different.run(60)
    assert different.b.delivered == []
    assert different.a.completed == different.b.completed == []
    assert different.a.device.counters["bad_response"] > 5


def test_both_ends_initiate_at_once_and_nobody_waits() -> None:
    tunnel = Tunnel()
    tunnel.send(tunnel.a, b"from a")
    tunnel.send(tunnel.b, b"from b")
    tunnel.run()
    assert (tunnel.b.delivered, tunnel.a.delivered) == ([b"from a"], [b"from b"])

    tunnel.send(tunnel.a, b"again")
    tunnel.send(tunnel.b, b"again")
    tunnel.run(20)
    assert (tunnel.b.delivered[1:], tunnel.a.delivered[1:]) == ([b"again"], [b"again"])
    assert len(tunnel.a.sent_of_type(INITIATION)) == len(tunnel.b.sent_of_type(INITIATION)) == 1


# --- batches


def test_a_batch_for_two_peers_goes_out_in_two_transmissions() -> None:
    device, keys = hub()
    outputs = device.send(
        [packet("100.64.0.1", f"100.64.0.{host}") for host in (2, 2, 3, 2, 9)] + [b"rubbish"], 0.0
    )
    assert [o.peer for o in outputs if isinstance(o, Transmit)] == keys
    assert device.counters == {"no_peer_for_destination": 1, "bad_packet": 1}


def test_heard_is_said_once_a_batch() -> None:
    tunnel = connected()
    sealed = seal(tunnel, tunnel.a, b"1", b"2", b"3")
    outputs = tunnel.b.device.receive([sealed[0], b"noise", sealed[2], sealed[1]], "new", 1001.0)
    assert [type(o) for o in outputs] == [Heard, Deliver, Deliver]
    assert outputs[0] == Heard(tunnel.a.key, "new")


def test_ipv6_packets_travel_too_and_lose_their_padding() -> None:
    tunnel = Tunnel()
    for end in (tunnel.a, tunnel.b):
        other = tunnel.other(end)
        end.device.set_peers([PeerConfig(other.key, ("fd7a:115c:a1e0::/48",))], tunnel.now)
    inner = packet("fd7a:115c:a1e0::1", "fd7a:115c:a1e0::2", b"v6")
    tunnel.take(tunnel.a, tunnel.a.device.send([inner], tunnel.now))
    tunnel.run(0.025)
    sealed = tunnel.a.sent[-1][1]
    assert len(sealed) == 32 + 48
    [_, _, delivered] = tunnel.b.device.receive([sealed], "from-a", tunnel.now)
    assert isinstance(delivered, Deliver)
    assert delivered.packets == [inner]


# --- roaming


def test_an_authenticated_packet_tells_its_new_source() -> None:
    tunnel = connected()
    tunnel.a.source = "from-a-after-moving"
    tunnel.send(tunnel.a, b"moved")
    tunnel.run()
    assert tunnel.b.heard[-1] == "from-a-after-moving"


def test_a_replayed_packet_tells_nothing_and_delivers_nothing() -> None:
    tunnel = connected()
    [sealed] = seal(tunnel, tunnel.a, b"once")
    assert len(tunnel.b.device.receive([sealed], "from-a", tunnel.now)) == 2
    assert tunnel.b.device.receive([sealed], "attacker", tunnel.now) == []
    assert tunnel.b.device.counters["replayed"] == 1


# --- refused


def test_a_replayed_initiation_is_refused_for_ever() -> None:
    tunnel = connected()
    recorded = next(d for _, d in tunnel.a.sent if d[0] == INITIATION)
    tunnel.run(600)
    assert tunnel.b.device.receive([recorded], "attacker", tunnel.now) == []
    assert tunnel.b.device.counters["replayed_initiation"] == 1


def test_an_initiation_older_than_the_last_is_refused_and_told() -> None:
    first, second = Tunnel(), Tunnel()
    [late] = first.a.device.initiate(first.b.key, 100.0)
    [early] = second.a.device.initiate(second.b.key, 99.0)  # the same keys
    first.b.device.receive(datagrams(late), "from-a", 100.0)
    refused = first.b.device.receive(datagrams(early), "from-a", 101.0)
    assert refused == [InitiationTooOld(first.a.key)]
    assert first.b.device.receive(datagrams(late), "from-a", 102.0) == []  # a mere copy


def test_two_initiations_within_20_ms_are_a_flood() -> None:
    first, second = Tunnel(), Tunnel()
    [one] = first.a.device.initiate(first.b.key, 0.0)
    [two] = second.a.device.initiate(second.b.key, 0.018)  # the same keys, a later timestamp
    assert len(first.b.device.receive(datagrams(one), "from-a", 0.0)) == 2
    assert first.b.device.receive(datagrams(two), "from-a", 0.019) == []
    assert first.b.device.counters == {"initiation_flood": 1}
    assert len(first.b.device.receive(datagrams(two), "from-a", 0.021)) == 2


def test_a_stranger_is_not_answered() -> None:
    tunnel = Tunnel()
    stranger = Device(NodePrivate.from_seed(b"s" * 32), random=bytes, epoch=EPOCH)
    stranger.set_peers([PeerConfig(tunnel.b.key, ("0.0.0.0/0",))], 0.0)
    [initiation] = stranger.initiate(tunnel.b.key, 0.0)
    assert tunnel.b.device.receive(datagrams(initiation), "stranger", 0.0) == []
    assert tunnel.b.device.counters == {"unknown_peer": 1}


def test_a_source_that_is_not_allowed_is_not_delivered() -> None:
    tunnel = connected()
    spoofed = packet("100.64.9.9", "100.64.2.20")
    [sent] = tunnel.a.device.send([spoofed], tunnel.now)
    outputs = tunnel.b.device.receive(datagrams(sent), "from-a", tunnel.now)
    assert [type(o) for o in outputs] == [Heard]
    assert tunnel.b.device.counters["source_not_allowed"] == 1


def test_one_allowed_packet_does_not_open_the_door_for_the_rest_of_its_batch() -> None:
    tunnel = connected()
    sources = ("100.64.1.10", "100.64.9.9", "100.64.1.10")
    [sent] = tunnel.a.device.send([packet(s, "100.64.2.20") for s in sources], tunnel.now)
    [_, delivered] = tunnel.b.device.receive(datagrams(sent), "from-a", tunnel.now)
    assert isinstance(delivered, Deliver)
    assert delivered.packets == [packet("100.64.1.10", "100.64.2.20")] * 2


def test_an_inner_packet_that_is_no_ip_packet_is_dropped() -> None:
    tunnel = connected()
    session = tunnel.a.device.session(tunnel.b.key)
    assert session is not None
    cut = packet("100.64.1.10", "100.64.2.20", bytes(13))[:-1]  # 32 bytes: no padding after it
    sealed = session.seal([b"no ip", cut], 1280)
    outputs = tunnel.b.device.receive(sealed, "from-a", tunnel.now)
    assert [type(o) for o in outputs] == [Heard]
    assert tunnel.b.device.counters["bad_inner_packet"] == 2


def test_a_removed_peer_is_forgotten_at_once() -> None:
    tunnel = connected()
    [sealed] = seal(tunnel, tunnel.a, b"late")
    tunnel.b.device.set_peers([], tunnel.now)
    assert tunnel.b.device.receive([sealed], "from-a", tunnel.now) == []
    assert tunnel.b.device.send([packet("100.64.2.20", "100.64.1.10")], tunnel.now) == []
    assert tunnel.b.device.deadline is None


def test_setting_the_same_peers_again_keeps_the_session() -> None:
    tunnel = connected()
    config = PeerConfig(tunnel.b.key, ("100.64.2.0/24", "100.64.2.20/32"))
    assert tunnel.a.device.set_peers([config], tunnel.now) == []
    tunnel.send(tunnel.a, b"still there")
    tunnel.run()
    assert tunnel.b.delivered[-1] == b"still there"
    assert len(tunnel.a.sent_of_type(INITIATION)) == 1


@pytest.mark.parametrize(
    ("datagram", "counter"),
    [
        (b"", "malformed"),
        (b"\4\0\0\0", "unknown_index"),
        (b"\4\0\0\0" + bytes(40), "unknown_index"),
        (b"\1\0\0\0" + bytes(144), "bad_mac1"),
        (b"\2\0\0\0" + bytes(88), "bad_mac1"),
        (b"\3\0\0\0" + bytes(60), "unknown_index"),
        (b"\5\0\0\0" + bytes(60), "malformed"),
    ],
)
def test_rubbish_is_dropped_and_counted(datagram: bytes, counter: str) -> None:
    device = connected().b.device
    assert device.receive([datagram], "anywhere", 1001.0) == []
    assert device.counters[counter] == 1


def test_a_truncated_or_changed_handshake_is_dropped() -> None:
    tunnel = Tunnel()
    [initiation] = tunnel.a.device.initiate(tunnel.b.key, 0.0)
    [datagram] = datagrams(initiation)
    for at in range(len(datagram) - 16):  # MAC2 counts only under load
        broken = datagram[:at] + bytes([datagram[at] ^ 1]) + datagram[at + 1 :]
        assert tunnel.b.device.receive([broken, datagram[:at]], "from-a", 0.0) == []
    assert len(tunnel.b.device.receive([datagram], "from-a", 0.0)) == 2


# --- under load


def test_under_load_a_cookie_is_asked_for_and_the_next_attempt_gets_through() -> None:
    tunnel = Tunnel()
    tunnel.send(tunnel.a, b"hello")
    flood(tunnel)
    tunnel.run(4.9)
    assert tunnel.b.sent_of_type(COOKIE_REPLY) == [pytest.approx(1000.01)]
    assert tunnel.a.device.counters == {"cookie": 1}
    assert tunnel.b.delivered == []

    flood(tunnel)  # still loaded when the retry comes
    tunnel.run(0.6)
    assert tunnel.b.delivered == [b"hello"]


def test_under_load_a_message_without_cookie_gets_a_reply_to_its_source() -> None:
    tunnel = Tunnel()
    flood(tunnel)
    [initiation] = tunnel.a.device.initiate(tunnel.b.key, tunnel.now)
    [reply] = tunnel.b.device.receive(datagrams(initiation), ("192.0.2.1", 7), tunnel.now)
    assert isinstance(reply, Reply)
    assert reply.to == ("192.0.2.1", 7)
    assert len(reply.datagrams[0]) == 64  # less than what asked for it: no amplifier


def test_a_flood_of_handshakes_from_everywhere_harms_no_session_and_leaves_nothing() -> None:
    tunnel = connected()
    device = tunnel.b.device
    flood(tunnel)
    stranger = Device(NodePrivate.from_seed(b"s" * 32), random=bytes, epoch=EPOCH)
    stranger.set_peers([PeerConfig(tunnel.b.key, ())], 0.0)
    [initiation] = stranger.initiate(tunnel.b.key, 0.0)
    before = weight(device)

    for number in range(1000):
        source = Endpoint(f"198.51.{number // 256}.{number % 256}", 41641)
        [reply] = device.receive(datagrams(initiation), source, tunnel.now)
        assert isinstance(reply, Reply)  # a cookie, which costs no key agreement
    tunnel.send(tunnel.a, b"in the midst of it")
    tunnel.run(0.1)

    assert tunnel.b.delivered == [b"first", b"in the midst of it"]
    assert device.counters["cookie_sent"] > 1000
    assert weight(device) <= before + 10


def flood(tunnel: Tunnel) -> None:
    """Enough initiations with a good MAC1 that B is under load for the next second."""
    stranger = Device(NodePrivate.from_seed(b"s" * 32), random=bytes, epoch=EPOCH)
    stranger.set_peers([PeerConfig(tunnel.b.key, ())], 0.0)
    [initiation] = stranger.initiate(tunnel.b.key, 0.0)
    tunnel.b.device.receive(datagrams(initiation) * (LOAD_HANDSHAKES + 1), "stranger", tunnel.now)


def connected() -> Tunnel:
    tunnel = Tunnel()
    tunnel.send(tunnel.a, b"first")
    tunnel.run()
    assert tunnel.b.delivered == [b"first"]
    return tunnel


def handshake_until_response(tunnel: Tunnel) -> list[Output]:
    """What the initiator does with the response, less the news that it heard."""
    a, b = tunnel.a.device, tunnel.b.device
    [initiation] = a.initiate(tunnel.b.key, 0.0)
    [_, response] = b.receive(datagrams(initiation), "from-a", 0.0)
    return a.receive(datagrams(response), "from-b", 0.0)[1:]


def datagrams(output: Output) -> list[bytes]:
    assert isinstance(output, Transmit)
    return output.datagrams


def seal(tunnel: Tunnel, end: End, *payloads: bytes) -> list[bytes]:
    to = tunnel.other(end)
    packets = [packet(end.address, to.address, payload) for payload in payloads]
    [sent] = end.device.send(packets, tunnel.now)
    return datagrams(sent)


def hub() -> tuple[Device, list[NodePublic]]:
    device = Device(NodePrivate.from_seed(b"h" * 32), random=bytes, epoch=EPOCH)
    keys = [NodePrivate.from_seed(bytes([i]) * 32).public for i in (2, 3)]
    device.set_peers([PeerConfig(key, (f"100.64.0.{i}/32",)) for i, key in enumerate(keys, 2)], 0.0)
    return device, list(keys)
