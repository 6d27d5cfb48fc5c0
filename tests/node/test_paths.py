"""The paths to one peer, seen from one end: what is sent when, and what each answer changes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.core.paths import (
    Direct,
    Output,
    PathChanged,
    Paths,
    Relayed,
    Route,
    SendCallMeMaybe,
    SendPing,
    SendPong,
)
from node.core.ways import Way
from node.wire.endpoint import Endpoint
from tests.node.two_ends import counter_as_dice

BOB = Endpoint("203.0.113.20", 41641)
BOB_LAN = Endpoint("192.168.1.20", 41641)
BOB_IPV6 = Endpoint("2001:db8::20", 41641)
ELSEWHERE = Endpoint("198.51.100.77", 5000)
PEER_TXID = bytes(12)

# --- searching ---


def test_nothing_is_sent_while_nobody_uses_the_path() -> None:
    paths = new_paths()
    assert paths.add_candidates([BOB], 10.0) == []
    assert paths.deadline is None


def test_the_first_data_goes_by_the_relay_and_starts_the_search() -> None:
    paths = new_paths()
    paths.add_candidates([BOB, BOB_LAN], 10.0)
    route, outputs = paths.data_sent(10.0)
    assert route == Route(None, relay=True)
    assert pinged(outputs) == [BOB, BOB_LAN]
    assert outputs[-1] == SendCallMeMaybe()  # after the pings, which open our NAT


def test_a_call_me_maybe_goes_out_even_when_no_candidate_is_known() -> None:
    paths = new_paths()
    assert paths.data_sent(10.0) == (Route(None, relay=True), [SendCallMeMaybe()])


def test_more_data_sends_no_more_pings() -> None:
    paths = new_paths()
    paths.add_candidates([BOB], 10.0)
    paths.data_sent(10.0)
    assert paths.data_sent(10.01) == (Route(None, relay=True), [])


def test_the_first_volley_is_quick_and_then_slows_down() -> None:
    paths = new_paths()
    paths.add_candidates([BOB], 0.0)
    _, outputs = paths.data_sent(0.0)
    times = [0.0 for _ in pinged(outputs)]
    times += [at for at, outputs in ticks(paths, until=16.0) for _ in pinged(outputs)]
    assert [round(t, 3) for t in times] == [0.0, 0.1, 0.3, 0.7, 1.5, 3.0, 5.0, 10.0, 15.0]


def test_the_search_ends_when_nobody_uses_the_path_any_more() -> None:
    paths = new_paths()
    paths.add_candidates([BOB], 0.0)
    paths.data_sent(0.0)
    assert max(at for at, _ in ticks(paths, until=1000.0)) < 45.0
    assert paths.deadline is None


def test_thirty_two_candidates_are_no_storm() -> None:
    paths = new_paths()
    paths.add_candidates([Endpoint(f"203.0.113.{n}", 41641) for n in range(1, 33)], 0.0)
    _, outputs = paths.data_sent(0.0)
    assert len(pinged(outputs)) == 32
    sent = [at for at, outputs in ticks(paths, until=45.0) for _ in pinged(outputs)]
    assert len([at for at in sent if at < 1.0]) <= 28  # 20 a second after a burst of 40
    assert all(len([at for at in sent if s <= at < s + 1.0]) <= 21 for s in range(1, 45))


def test_a_ping_is_as_large_as_the_largest_data() -> None:
    paths = Paths(random=counter_as_dice(1), mtu=1280)
    paths.add_candidates([BOB], 0.0)
    assert [p.size for p in pings(paths.data_sent(0.0)[1])] == [1312]


# --- finding ---


def test_a_pong_moves_the_path_from_relay_to_direct() -> None:
    paths = new_paths()
    paths.add_candidates([BOB], 10.0)
    [ping] = pings(paths.data_sent(10.0)[1])

    [changed] = paths.receive_pong(ping.txid, 10.02)
    assert changed == PathChanged(
        Direct(BOB), "pong from 203.0.113.20:41641 in 20.0 ms", 10.02 - 10.0
    )
    assert (paths.path, paths.why) == (Direct(BOB), changed.why)
    assert paths.data_sent(10.03) == (Route(BOB, relay=False), [])
    assert paths.receive_pong(ping.txid, 10.04) == []  # the same pong twice


def test_a_pong_for_no_ping_of_ours_changes_nothing() -> None:
    paths = new_paths()
    paths.data_sent(10.0)
    assert paths.receive_pong(b"guessed a id", 10.1) == []
    assert paths.path == Relayed()
    assert paths.counters == {"disco_pong_unasked": 1}


def test_a_pong_that_comes_over_the_relay_proves_no_direct_path() -> None:
    paths = new_paths()
    paths.add_candidates([BOB], 10.0)
    [ping] = pings(paths.data_sent(10.0)[1])
    assert paths.receive_pong(ping.txid, 10.1, via_relay=True) == []
    assert paths.path == Relayed()


def test_a_pong_after_five_seconds_is_too_late() -> None:
    paths = new_paths()
    paths.add_candidates([BOB], 10.0)
    [ping] = pings(paths.data_sent(10.0)[1])
    assert paths.receive_pong(ping.txid, 15.1) == []


def test_a_pong_of_a_peer_that_stood_still_is_no_measure_of_the_path() -> None:
    paths = new_paths()
    paths.add_candidates([BOB], 10.0)
    [ping] = pings(paths.data_sent(10.0)[1])
    assert ticks(paths, until=13.8)
    assert paths.path == Relayed()
    [again] = pings(paths.receive_pong(ping.txid, 13.9))
    paths.receive_pong(again.txid, 13.92)
    assert str(paths.path) == str(BOB)
    assert round(paths.rtt or 0, 3) == 0.02


@pytest.mark.parametrize("slept", [0.8, 3.9])
@pytest.mark.parametrize("tick_first", [True, False])
def test_a_pong_that_waited_while_we_slept_is_no_measure_either(
    slept: float, tick_first: bool
) -> None:
    paths = new_paths()
    paths.add_candidates([BOB], 10.0)
    [ping] = pings(paths.data_sent(10.0)[1])
    awake = 10.0 + slept
    outputs = paths.tick(awake) if tick_first else []
    outputs += paths.receive_pong(ping.txid, awake)
    assert paths.path == Relayed()
    [again] = pings(outputs)
    paths.receive_pong(again.txid, awake + 0.02)
    assert str(paths.path) == str(BOB)
    assert round(paths.rtt or 0, 3) == 0.02


def test_data_received_makes_no_path() -> None:
    paths = new_paths()
    paths.add_candidates([BOB], 10.0)
    paths.data_sent(10.0)
    assert paths.data_received(BOB, 10.1) == []
    assert paths.path == Relayed()


def test_a_ping_is_answered_where_it_came_from_and_pinged_back() -> None:
    paths = new_paths()
    [pong, ping] = paths.receive_ping(PEER_TXID, ELSEWHERE, 10.0)
    assert pong == SendPong(ELSEWHERE, PEER_TXID)
    assert pinged([ping]) == [ELSEWHERE]


def test_the_same_ping_twice_is_answered_once() -> None:
    paths = new_paths()
    paths.receive_ping(PEER_TXID, ELSEWHERE, 10.0)
    assert paths.receive_ping(PEER_TXID, BOB, 10.1) == []


def test_a_ping_is_pinged_back_even_if_ours_is_on_its_way_for_that_may_have_come_too_early() -> (
    None
):
    paths = new_paths()
    paths.add_candidates([BOB], 10.0)
    paths.data_sent(10.0)
    [pong, ping] = paths.receive_ping(PEER_TXID, BOB, 10.001)
    assert (pong, pinged([ping])) == (SendPong(BOB, PEER_TXID), [BOB])


def test_a_call_me_maybe_pings_all_that_it_names_at_once() -> None:
    paths = new_paths()
    outputs = paths.receive_call_me_maybe([BOB, BOB_LAN], 10.0)
    assert pinged(outputs) == [BOB, BOB_LAN]


def test_a_call_me_maybe_is_answered_by_one_unless_we_have_just_sent_ours() -> None:
    paths = new_paths()
    assert SendCallMeMaybe() in paths.receive_call_me_maybe([BOB], 10.0)
    assert SendCallMeMaybe() not in paths.receive_call_me_maybe([BOB], 10.1)
    assert SendCallMeMaybe() in paths.receive_call_me_maybe([BOB], 15.0)


def test_two_ends_that_answer_each_others_call_me_maybe_do_not_loop() -> None:
    alice, bob = new_paths(), new_paths()
    alice.data_sent(10.0)
    assert SendCallMeMaybe() in bob.receive_call_me_maybe([], 10.02)
    assert SendCallMeMaybe() not in alice.receive_call_me_maybe([], 10.04)


def test_a_stream_of_call_me_maybes_gets_one_ping_each_and_not_a_volley_each() -> None:
    paths = new_paths()
    sent = 0
    for second in range(60):
        outputs = paths.receive_call_me_maybe([BOB], float(second))
        outputs += [o for _, due in ticks(paths, until=second + 0.99) for o in due]
        sent += len(pings(outputs))
    assert sent <= 60 + 4 * 7


def test_endpoints_where_nobody_can_be_are_not_pinged() -> None:
    nowhere = [("0.0.0.0", 1), ("::", 1), ("224.0.0.1", 1), ("fe80::1", 1), ("192.0.2.1", 0)]
    outputs = new_paths().receive_call_me_maybe([Endpoint(*e) for e in nowhere], 10.0)
    assert pinged(outputs) == []


def test_a_later_call_me_maybe_takes_back_what_it_leaves_out() -> None:
    paths = new_paths()
    paths.receive_call_me_maybe([BOB, BOB_LAN], 10.0)
    assert pinged(paths.receive_call_me_maybe([BOB_LAN], 12.0)) == [BOB_LAN]


def test_the_netmap_takes_back_what_it_does_not_list_any_more() -> None:
    paths = new_paths()
    paths.add_candidates([BOB], 10.0)
    paths.add_candidates([BOB_LAN], 11.0)
    assert pinged(paths.data_sent(12.0)[1]) == [BOB_LAN]


def test_a_path_that_works_outlives_its_candidate() -> None:
    paths = direct_paths()
    paths.add_candidates([BOB_LAN], 10.1)
    assert paths.path == Direct(BOB)
    assert paths.data_sent(10.2)[0] == Route(BOB, relay=False)


# --- keeping ---


def test_a_direct_path_is_pinged_every_three_seconds_while_in_use() -> None:
    paths = direct_paths()
    at = [at for at, outputs in ticks(paths, until=20.0, pong_after=0.02) if pinged(outputs)]
    assert [round(b - a, 2) for a, b in pairwise(at)] == [3.0, 3.0]


def test_a_path_in_use_that_hears_answers_is_pinged_once_a_second() -> None:
    paths = direct_paths()
    sent = 0
    for step in range(1000):
        now = 10.1 + step / 100
        _, outputs = paths.data_sent(now)
        outputs += paths.data_received(BOB, now)
        if paths.deadline is not None and paths.deadline <= now:
            outputs += paths.tick(now)
        sent += len(pings(outputs))
        answer(paths, outputs, now)
    assert 8 <= sent <= 12


def test_a_faster_path_replaces_a_slower_one() -> None:
    paths = new_paths()
    paths.add_candidates([BOB, BOB_LAN], 10.0)
    to_bob, to_lan = pings(paths.data_sent(10.0)[1])
    paths.receive_pong(to_bob.txid, 10.02)
    paths.receive_pong(to_lan.txid, 10.021)
    assert paths.path == Direct(BOB_LAN)  # as fast, and nearer


def test_an_ipv6_path_as_fast_is_taken() -> None:
    paths = new_paths()
    paths.add_candidates([BOB, BOB_IPV6], 10.0)
    to_bob, to_ipv6 = pings(paths.data_sent(10.0)[1])
    paths.receive_pong(to_bob.txid, 10.02)
    paths.receive_pong(to_ipv6.txid, 10.02)
    assert paths.path == Direct(BOB_IPV6)


def test_two_near_equal_paths_do_not_alternate() -> None:
    paths = new_paths()
    jitter = [0.020, 0.0201, 0.0195, 0.0204, 0.0198]
    paths.receive_call_me_maybe([BOB, ELSEWHERE], 0.0)
    changes = 0
    for minute in range(30):
        now = 0.1 + 60.0 * minute
        _, outputs = paths.data_sent(now)
        outputs += paths.receive_call_me_maybe([BOB, ELSEWHERE], now)
        for number, ping in enumerate(pings(outputs)):
            took = jitter[(minute + 2 * number) % len(jitter)]
            changed = paths.receive_pong(ping.txid, now + took)
            changes += sum(isinstance(output, PathChanged) for output in changed)
    assert changes == 1


def test_a_better_path_is_looked_for_every_minute() -> None:
    paths = new_paths()
    paths.add_candidates([BOB, BOB_IPV6], 0.0)
    to_bob, _ = pings(paths.data_sent(0.0)[1])
    paths.receive_pong(to_bob.txid, 0.02)
    looked = []
    for step in range(1, 1500):
        paths.data_sent(step / 10)
        for at, outputs in ticks(paths, until=step / 10, pong_after=0.02, only=BOB):
            looked += [at for endpoint in pinged(outputs) if endpoint == BOB_IPV6]
    assert [round(at) for at in looked] == [2, 62, 122]


def test_a_path_that_is_good_enough_is_looked_beyond_once_only() -> None:
    paths = new_paths()
    paths.add_candidates([BOB, BOB_IPV6], 0.0)
    to_bob, _ = pings(paths.data_sent(0.0)[1])
    paths.receive_pong(to_bob.txid, 0.002)
    looked = []
    for step in range(1, 1500):
        paths.data_sent(step / 10)
        for at, outputs in ticks(paths, until=step / 10, pong_after=0.002, only=BOB):
            looked += [at for endpoint in pinged(outputs) if endpoint == BOB_IPV6]
    assert [round(at) for at in looked] == [2]


# --- losing ---


def test_a_direct_path_that_falls_silent_goes_back_to_the_relay_within_a_second() -> None:
    paths = direct_paths()
    paths.data_sent(11.0)
    seen = [(round(at - 11.0, 2), outputs) for at, outputs in ticks(paths, until=12.0)]
    assert [at for at, _ in seen][:4] == [0.4, 0.6, 0.7, 0.85]
    assert seen[3][1][0] == PathChanged(
        Relayed(), "direct path fell silent: 3 pings unanswered", None
    )
    assert pinged(seen[3][1]) == [BOB]  # and is looked for at once


def test_after_one_unanswered_ping_data_is_mirrored() -> None:
    paths = direct_paths()
    paths.data_sent(11.0)
    ticks(paths, until=11.65)
    assert paths.data_sent(11.65)[0] == Route(BOB, relay=True)
    assert paths.path == Direct(BOB)


def test_a_pong_ends_the_mirroring() -> None:
    paths = direct_paths()
    paths.data_sent(11.0)
    [asked] = [p for _, outputs in ticks(paths, until=11.65) for p in pings(outputs)][-1:]
    assert paths.receive_pong(asked.txid, 11.66) == []
    assert paths.data_sent(11.67)[0] == Route(BOB, relay=False)


def test_data_heard_while_pongs_are_late_buys_time() -> None:
    paths = direct_paths()
    now, end = 11.0, None
    while end is None and now < 20.0:  # a full queue: data comes, pongs do not
        now += 0.01
        _, outputs = paths.data_sent(now)
        outputs += paths.data_received(BOB, now)
        if paths.deadline is not None and paths.deadline <= now:
            outputs += paths.tick(now)
        if paths.path == Relayed():
            end = now - 11.0
    assert end is not None
    assert 2.0 <= end <= 3.0


def test_data_by_the_relay_makes_us_ask_whether_our_path_is_alive() -> None:
    paths = direct_paths()
    [asked] = pings(paths.data_received(None, 13.0))
    assert asked.to == BOB
    assert paths.data_received(None, 13.01) == []
    assert paths.data_sent(13.01)[0] == Route(BOB, relay=True)  # until it is sure
    paths.receive_pong(asked.txid, 13.02)
    assert paths.data_sent(13.03)[0] == Route(BOB, relay=False)


def test_a_path_where_sending_fails_is_left_at_once() -> None:
    paths = direct_paths()
    [changed, *rest] = paths.endpoint_failed(BOB, 11.0)
    assert changed == PathChanged(Relayed(), "sending to 203.0.113.20:41641 failed", None)
    assert pinged(rest) == []  # it would only fail again


def test_an_endpoint_where_sending_fails_is_tried_again_after_a_second() -> None:
    paths = direct_paths()
    paths.endpoint_failed(BOB, 11.0)
    at = [at for at, outputs in ticks(paths, until=13.0) if BOB in pinged(outputs)]
    assert at[0] == 12.0


def test_another_link_of_ours_starts_everything_again() -> None:
    paths = direct_paths()
    [changed, *rest] = paths.reset(11.0)
    assert changed == PathChanged(Relayed(), "our own link changed", None)
    assert pinged(rest) == [BOB]
    assert rest[-1] == SendCallMeMaybe()


def test_after_a_silence_of_minutes_data_is_mirrored_until_a_pong() -> None:
    paths = direct_paths()
    ticks(paths, until=500.0, pong_after=0.02)
    route, outputs = paths.data_sent(500.0)
    assert route == Route(BOB, relay=True)
    answer(paths, outputs, 500.02)
    assert paths.data_sent(500.03)[0] == Route(BOB, relay=False)


# --- a person asks ---


def test_a_person_who_asks_starts_the_search_as_data_would() -> None:
    paths = new_paths()
    paths.add_candidates([BOB], 10.0)
    outputs = paths.ping_now(10.0)
    assert pinged(outputs) == [BOB]
    assert outputs[-1] == SendCallMeMaybe()


def test_a_person_who_asks_again_pings_again() -> None:
    paths = direct_paths()
    assert pinged(paths.ping_now(11.0)) == [BOB]
    assert pinged(paths.ping_now(11.01)) == [BOB]


# --- whatever happens ---

ENDPOINTS = [Endpoint(f"203.0.113.{n}", 41641) for n in range(1, 41)]
events = st.lists(
    st.tuples(
        st.sampled_from(
            ["data", "heard", "relayed", "call", "ping", "pong", "netmap", "fail", "reset", "ask"]
            + 3 * ["tick", "late tick", "data"]
        ),
        st.integers(0, 39),
        st.sampled_from([0.0, 0.01, 0.3, 2.0, 50.0]),
    ),
    max_size=60,
)


@settings(max_examples=150)
@given(events)
def test_a_tick_always_moves_the_deadline_and_pings_stay_bounded(
    schedule: list[tuple[str, int, float]],
) -> None:
    paths, now = new_paths(), 10.0
    sent: list[tuple[float, SendPing]] = []
    txids = counter_as_dice(1 << 60)
    for name, number, wait in schedule:
        now += wait
        outputs = happen(paths, name, number, now, txids(12), sent)
        if name == "tick" and paths.deadline is not None:
            now = max(now, paths.deadline)
        if name.endswith("tick"):
            outputs = paths.tick(now)
            assert paths.deadline is None or paths.deadline > now
        sent += [(now, ping) for ping in pings(outputs)]
    in_peaks = [sum(at <= t < at + 1.0 for t, _ in sent) for at, _ in sent]
    asked = sum(name in ("ask", "relayed", "data", "tick") for name, _, _ in schedule)
    assert max(in_peaks, default=0) <= 60 + asked


def happen(
    paths: Paths,
    name: str,
    number: int,
    now: float,
    txid: bytes,
    sent: list[tuple[float, SendPing]],
) -> list[Output]:
    endpoint = ENDPOINTS[number]
    match name:
        case "data":
            return paths.data_sent(now)[1]
        case "heard":
            return paths.data_received(endpoint, now)
        case "relayed":
            return paths.data_received(None, now)
        case "call":
            return paths.receive_call_me_maybe(ENDPOINTS[:number], now)
        case "ping":
            return paths.receive_ping(txid, endpoint, now)
        case "pong" if sent:
            return paths.receive_pong(sent[-1 - number % len(sent)][1].txid, now)
        case "netmap":
            return paths.add_candidates(ENDPOINTS[number:], now)
        case "fail":
            return paths.endpoint_failed(endpoint, now)
        case "reset":
            return paths.reset(now)
        case "ask":
            return paths.ping_now(now)
    return []


# --- what the tests are made of ---


def new_paths() -> Paths:
    return Paths(random=counter_as_dice(1))


def direct_paths() -> Paths:
    """Direct to BOB since 10.02, with 20 ms."""
    paths = new_paths()
    paths.add_candidates([BOB], 10.0)
    [ping] = pings(paths.data_sent(10.0)[1])
    paths.receive_pong(ping.txid, 10.02)
    assert paths.path == Direct(BOB)
    return paths


def pings(outputs: list[Output]) -> list[SendPing]:
    return [output for output in outputs if isinstance(output, SendPing)]


def pinged(outputs: list[Output]) -> list[Way]:
    return [ping.to for ping in pings(outputs)]


def answer(
    paths: Paths, outputs: list[Output], now: float, only: Endpoint | None = None
) -> list[Output]:
    answered = [ping for ping in pings(outputs) if only in (None, ping.to)]
    return [output for ping in answered for output in paths.receive_pong(ping.txid, now)]


def ticks(
    paths: Paths, *, until: float, pong_after: float | None = None, only: Endpoint | None = None
) -> list[tuple[float, list[Output]]]:
    """Every tick until then, each exactly at the deadline; unanswered unless `pong_after` is given."""
    seen = []
    while paths.deadline is not None and paths.deadline <= until:
        now = paths.deadline
        outputs = paths.tick(now)
        assert paths.deadline is None or paths.deadline > now
        if pong_after is not None:
            outputs += answer(paths, outputs, now + pong_after, only)
        seen.append((now, outputs))
    return seen
