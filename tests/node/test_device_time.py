"""What a device does as time goes by: retries, keepalives, new keys, and in the end none."""

import gc
import random
from collections.abc import Callable
from itertools import pairwise
from types import FunctionType, ModuleType

from hypothesis import given, settings
from hypothesis import strategies as st

from node.core.device import Device, PeerConfig
from node.core.limits import JITTER, REJECT_AFTER_MESSAGES, REKEY_AFTER_MESSAGES, Limits
from node.core.session import Session
from tests.node.tunnel import ONE_WAY, End, Tunnel

INITIATION, RESPONSE, TRANSPORT = 1, 2, 4
START = 1000.0


# --- retransmission


def test_an_unanswered_initiation_is_repeated_every_five_seconds_and_a_bit() -> None:
    tunnel = Tunnel()
    tunnel.lost = lambda end, datagram: True
    tunnel.send(tunnel.a, b"hello?")
    tunnel.run(60)
    times = tunnel.a.sent_of_type(INITIATION)
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert len(gaps) >= 10
    assert all(5.0 <= gap <= 5.0 + JITTER for gap in gaps)
    assert len(set(gaps)) > 1


def test_it_gives_up_after_ninety_seconds_and_the_packets_are_dropped() -> None:
    tunnel = Tunnel()
    tunnel.lost = lambda end, datagram: True
    tunnel.send(tunnel.a, b"hello?")
    tunnel.run(300)
    assert 80 < tunnel.a.sent_of_type(INITIATION)[-1] - START < 90
    assert tunnel.a.device.counters == {"handshake_given_up": 1, "queue_given_up": 1}


def test_a_new_packet_starts_the_attempts_again() -> None:
    tunnel = Tunnel()
    tunnel.lost = lambda end, datagram: True
    tunnel.send(tunnel.a, b"one")
    tunnel.run(300)
    tunnel.lost = lambda end, datagram: False
    tunnel.send(tunnel.a, b"two")
    tunnel.run()
    assert tunnel.b.delivered == [b"two"]


def test_it_goes_on_trying_while_packets_keep_coming() -> None:
    tunnel = Tunnel()
    tunnel.lost = lambda end, datagram: True
    for _ in range(10):
        tunnel.send(tunnel.a, b"hello?")
        tunnel.run(60)
    assert tunnel.a.device.counters["handshake_given_up"] == 0
    assert max(b - a for a, b in pairwise(tunnel.a.sent_of_type(INITIATION))) < 5.5


def test_the_first_lost_initiation_costs_one_retry() -> None:
    tunnel = Tunnel()
    tunnel.lost = lose_first(INITIATION)
    tunnel.send(tunnel.a, b"patience")
    tunnel.run(5.5)
    assert tunnel.b.delivered == [b"patience"]
    assert len(tunnel.a.sent_of_type(INITIATION)) == 2


def test_a_lost_response_costs_one_retry() -> None:
    tunnel = Tunnel()
    tunnel.lost = lose_first(RESPONSE)
    tunnel.send(tunnel.a, b"from a")
    tunnel.run(1)
    tunnel.send(tunnel.b, b"from b")  # it cannot use its unconfirmed keys
    tunnel.run(5)
    assert (tunnel.b.delivered, tunnel.a.delivered) == ([b"from a"], [b"from b"])


def test_a_responder_whose_initiator_vanished_initiates_by_itself() -> None:
    tunnel = Tunnel()
    tunnel.lost = lambda end, datagram: end is tunnel.a and datagram[0] == TRANSPORT
    tunnel.take(tunnel.a, tunnel.a.device.initiate(tunnel.b.key, tunnel.now))
    tunnel.run()
    tunnel.send(tunnel.b, b"are you there?")
    tunnel.run(6)
    assert tunnel.a.delivered == [b"are you there?"]
    assert len(tunnel.b.sent_of_type(INITIATION)) == 1


# --- keepalives


def test_who_only_receives_sends_a_keepalive_after_ten_seconds() -> None:
    tunnel = connected()
    before = len(tunnel.b.sent)
    tunnel.run(9.5)
    assert len(tunnel.b.sent) == before
    tunnel.run(1)
    assert [len(datagram) for _, datagram in tunnel.b.sent[before:]] == [32]


def test_who_answers_sends_no_keepalive() -> None:
    tunnel = connected()
    for _ in range(5):
        tunnel.run(4)
        tunnel.send(tunnel.b, b"answer")
        tunnel.run(4)
        tunnel.send(tunnel.a, b"question")
    assert 32 not in [len(datagram) for end in (tunnel.a, tunnel.b) for _, datagram in end.sent]


def test_an_idle_tunnel_falls_silent() -> None:
    tunnel = connected()
    tunnel.run(30)
    before = (len(tunnel.a.sent), len(tunnel.b.sent))
    tunnel.run(400)
    assert (len(tunnel.a.sent), len(tunnel.b.sent)) == before


def test_fifteen_seconds_of_silence_after_data_ask_for_a_new_handshake() -> None:
    tunnel = connected()
    tunnel.run(20)
    tunnel.lost = lambda end, datagram: end is tunnel.b
    sent = tunnel.now
    for _ in range(20):  # the first unanswered packet counts, not the last one
        tunnel.send(tunnel.a, b"?")
        tunnel.run(1)
    renewals = [t - sent for t in tunnel.a.sent_of_type(INITIATION) if t > sent]
    assert 15.0 <= renewals[0] <= 15.0 + JITTER


def test_a_peer_that_lost_its_keys_is_met_again() -> None:
    tunnel = connected()
    tunnel.b.device.set_peers([], tunnel.now)  # as after a restart
    tunnel.b.device.set_peers([PeerConfig(tunnel.a.key, (tunnel.a.address,))], tunnel.now)
    tunnel.send(tunnel.a, b"lost")
    tunnel.run(15.5)
    tunnel.send(tunnel.a, b"found")
    tunnel.run()
    assert tunnel.b.delivered[1:] == [b"found"]


def test_a_persistent_keepalive_keeps_both_ways_warm() -> None:
    tunnel = Tunnel()
    config = PeerConfig(tunnel.b.key, (tunnel.b.address,), persistent_keepalive=25.0)
    tunnel.take(tunnel.a, tunnel.a.device.set_peers([config], tunnel.now))
    tunnel.run(1000)
    times = [when for when, _ in tunnel.a.sent]
    assert max(b - a for a, b in pairwise(times)) <= 25.0 + 2 * ONE_WAY
    assert tunnel.b.completed.count(False) >= 5  # and its keys were renewed meanwhile


# --- new keys


def test_the_initiator_makes_new_keys_after_120_seconds_and_no_packet_is_lost() -> None:
    tunnel = Tunnel()
    sent = stream(tunnel, seconds=400)
    assert tunnel.b.delivered == sent
    assert tunnel.a.delivered == sent
    rekeys = tunnel.a.sent_of_type(INITIATION)
    assert [round(t - START) for t in rekeys] == [0, 120, 240, 360]
    assert tunnel.b.sent_of_type(INITIATION) == []


def test_both_began_at_once_and_still_no_packet_is_lost() -> None:
    tunnel = Tunnel()
    tunnel.send(tunnel.a, b"x")
    tunnel.send(tunnel.b, b"x")
    tunnel.run(0.005)
    sent = [b"x", *stream(tunnel, seconds=400)]
    assert tunnel.b.delivered == sent
    assert tunnel.a.delivered == sent


def test_an_initiator_that_only_receives_makes_new_keys_in_time() -> None:
    tunnel = connected()
    for second in range(200):
        tunnel.send(tunnel.b, b"%d" % second)
        tunnel.run(1)
    assert tunnel.a.delivered == [b"%d" % second for second in range(200)]
    [_, rekey] = tunnel.a.sent_of_type(INITIATION)
    assert 165 <= rekey - START <= 167


def test_new_keys_are_made_after_so_many_messages_by_either_side() -> None:
    tunnel = connected()
    tunnel.send(tunnel.b, b"x")
    tunnel.run(10)
    session = session_of(tunnel, tunnel.b)
    session.send_counter = REKEY_AFTER_MESSAGES + 1
    tunnel.send(tunnel.b, b"y")
    tunnel.run()
    assert len(tunnel.b.sent_of_type(INITIATION)) == 1
    assert session_of(tunnel, tunnel.b) is not session


def test_a_counter_is_never_used_past_its_end() -> None:
    tunnel = connected()
    tunnel.run(10)
    session_of(tunnel, tunnel.a).send_counter = REJECT_AFTER_MESSAGES
    tunnel.send(tunnel.a, b"with new keys")
    tunnel.run()
    assert tunnel.b.delivered[-1] == b"with new keys"
    assert len(tunnel.a.sent_of_type(INITIATION)) == 2


def test_keys_are_dead_after_180_seconds() -> None:
    tunnel = connected()
    [late] = [d for _, d in tunnel.a.sent if d[0] == TRANSPORT][:1]
    tunnel.run(181)
    assert tunnel.b.device.receive([late], "from-a", tunnel.now) == []
    assert tunnel.b.device.counters["expired_session"] == 1
    tunnel.send(tunnel.a, b"fresh")
    tunnel.run()
    assert tunnel.b.delivered[-1] == b"fresh"
    assert len(tunnel.a.sent_of_type(INITIATION)) == 2


def test_after_540_seconds_no_key_is_left() -> None:
    tunnel = connected()
    tunnel.run(539)
    assert tunnel.a.device.peer_status(tunnel.b.key).has_session
    tunnel.run(2)
    for end in (tunnel.a, tunnel.b):
        assert not end.device.peer_status(tunnel.other(end).key).has_session
        assert end.device.deadline is None
        assert end.device.indices_in_use == 0


def test_after_540_seconds_no_key_material_hangs_on_a_device() -> None:
    tunnel = connected()
    held = [session_of(tunnel, end) for end in (tunnel.a, tunnel.b)]
    keys = {bytes(key) for session in held for key in (session.send_key, session.receive_key)}
    del held
    for end in (tunnel.a, tunnel.b):
        assert keys <= hanging_on(end.device)  # the control
    tunnel.run(541)
    for end in (tunnel.a, tunnel.b):
        assert not keys & hanging_on(end.device)


def test_shorter_limits_rekey_sooner() -> None:
    tunnel = Tunnel(limits=Limits(rekey_after_time=3.0, rekey_timeout=1.0))
    sent = stream(tunnel, seconds=10)
    assert tunnel.b.delivered == sent
    assert len(tunnel.a.sent_of_type(INITIATION)) == 4


# --- any schedule


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.05, 0.3, 0.7]),
    slowest=st.sampled_from([0.01, 0.4, 7.0]),
)
def test_whatever_is_lost_late_or_doubled_the_tunnel_works_again_when_that_ends(
    seed: int, loss: float, slowest: float
) -> None:
    dice = random.Random(seed)
    tunnel = Tunnel(seed=seed)
    tunnel.lost = lambda end, datagram: dice.random() < loss
    tunnel.one_way = lambda: dice.uniform(0.001, slowest)
    tunnel.copies = lambda: dice.choice([1, 1, 2])
    for number in range(60):
        if dice.random() < 0.5:
            tunnel.send(dice.choice([tunnel.a, tunnel.b]), b"%d" % number)
        tunnel.run(dice.choice([0.001, 0.02, 1.0, 4.9, 16.0, 61.0]))
    for end in (tunnel.a, tunnel.b):
        assert len(end.delivered) == len(set(end.delivered)), "nothing twice"

    tunnel.lost = lambda end, datagram: False
    tunnel.one_way = lambda: ONE_WAY
    tunnel.run(20)
    for end in (tunnel.a, tunnel.b):
        tunnel.send(end, b"wake")  # on dead keys this one is lost, and noticed 15 s later
    tunnel.run(30)
    for end in (tunnel.a, tunnel.b):
        tunnel.send(end, b"last")
    tunnel.run(6)
    assert tunnel.a.delivered[-1] == b"last"
    assert tunnel.b.delivered[-1] == b"last"
    assert tunnel.a.device.indices_in_use <= 5
    tunnel.run(1000)
    assert tunnel.next_event is None


def lose_first(kind: int) -> Callable[[End, bytes], bool]:
    left = [1]

    def lost(end: End, datagram: bytes) -> bool:
        if datagram[0] != kind or not left:
            return False
        left.pop()
        return True

    return lost


def stream(tunnel: Tunnel, seconds: int) -> list[bytes]:
    """A packet each way, 20 times a second; the last ones get time to arrive."""
    sent = [b"%d" % number for number in range(seconds * 20)]
    for payload in sent:
        tunnel.send(tunnel.a, payload)
        tunnel.run(0.025)  # B does not begin, so A is the initiator
        tunnel.send(tunnel.b, payload)
        tunnel.run(0.025)
    tunnel.run()
    return sent


def session_of(tunnel: Tunnel, end: End) -> Session:
    session = end.device.session(tunnel.other(end).key)
    assert session is not None
    return session


def connected() -> Tunnel:
    tunnel = Tunnel()
    tunnel.send(tunnel.a, b"first")
    tunnel.run()
    assert tunnel.b.delivered == [b"first"]
    return tunnel


def hanging_on(device: Device) -> set[bytes]:
    """Every 32 bytes that can be reached from it."""
    seen: dict[int, object] = {}
    todo: list[object] = [device]
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, type | ModuleType | FunctionType):
            continue
        seen[id(each)] = each
        todo += gc.get_referents(each)
    return {
        bytes(it) for it in seen.values() if isinstance(it, bytes | bytearray) and len(it) == 32
    }
