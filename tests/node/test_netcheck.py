"""netcheck: what one run finds out, when it ends, and when the next one is due."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from node.core.netcheck import Netcheck
from node.core.netcheck_outputs import (
    AskByHttps,
    EndpointLearned,
    NetcheckDone,
    Output,
    Report,
    SendStun,
)
from node.wire import stun
from node.wire.endpoint import Endpoint
from tests.node.two_ends import counter_as_dice

NYC, FRA = 900, 901
NYC_SERVER = Endpoint("198.51.100.1", 3478)
FRA_SERVER = Endpoint("198.51.100.2", 3478)
NYC_IPV6 = Endpoint("2001:db8::1", 3478)
TWO_REGIONS = {NYC: [NYC_SERVER], FRA: [FRA_SERVER]}
SEEN = Endpoint("203.0.113.10", 41641)
SEEN_ELSEWHERE = Endpoint("203.0.113.10", 50000)
SEEN_IPV6 = Endpoint("2001:db8:a::10", 41641)
STEPS = ["start", "again", "https", "answer", "active", "idle", "tick", "tick", "late tick"]

# --- one run ---


def test_a_run_asks_every_server_of_every_region() -> None:
    sends = new_netcheck().start({NYC: [NYC_SERVER, NYC_IPV6], FRA: [FRA_SERVER]}, 10.0)
    assert [send.to for send in sends] == [NYC_SERVER, NYC_IPV6, FRA_SERVER]
    assert stun.parse_request(sends[0].datagram)


def test_a_silent_server_is_asked_three_times() -> None:
    netcheck = new_netcheck()
    netcheck.start({NYC: [NYC_SERVER]}, 10.0)
    asked = [(at, o.to) for at, o in ticks(netcheck) if isinstance(o, SendStun)]
    assert asked == [(10.1, NYC_SERVER), (10.2, NYC_SERVER)]


def test_a_run_ends_with_the_last_answer() -> None:
    netcheck = new_netcheck()
    nyc, fra = netcheck.start(TWO_REGIONS, 10.0)
    assert answer(netcheck, nyc, SEEN, 10.02) == [EndpointLearned(SEEN)]
    [done] = answer(netcheck, fra, SEEN, 10.09)
    assert done == NetcheckDone(
        Report(
            udp=True,
            ipv4=SEEN,
            mapping_varies=False,
            latency={NYC: 10.02 - 10.0, FRA: 10.09 - 10.0},
            preferred=NYC,
        )
    )
    assert netcheck.deadline is None


def test_a_region_that_stays_silent_is_not_waited_for_long() -> None:
    netcheck = new_netcheck()
    nyc, _ = netcheck.start(TWO_REGIONS, 10.0)
    answer(netcheck, nyc, SEEN, 10.02)
    [(at, report)] = reports(netcheck)
    assert round(at, 3) == 10.6
    assert (report.udp, list(report.latency), report.mapping_varies) == (True, [NYC], None)


def test_no_answer_for_three_seconds_means_udp_is_blocked() -> None:
    netcheck = new_netcheck()
    netcheck.start(TWO_REGIONS, 10.0)
    assert reports(netcheck) == [(13.0, Report(udp=False))]


def test_two_servers_that_see_two_ports_show_a_hard_nat() -> None:
    netcheck = new_netcheck()
    nyc, fra = netcheck.start(TWO_REGIONS, 10.0)
    answer(netcheck, nyc, SEEN, 10.02)
    [*_, done] = answer(netcheck, fra, SEEN_ELSEWHERE, 10.03)
    assert isinstance(done, NetcheckDone)
    assert done.report.mapping_varies is True
    assert netcheck.endpoints(10.1) == [SEEN_ELSEWHERE, SEEN]


def test_two_ports_of_one_server_address_show_nothing() -> None:
    netcheck = new_netcheck()
    sends = netcheck.start({NYC: [NYC_SERVER, Endpoint(NYC_SERVER.address, 3479)]}, 10.0)
    outputs = [o for send in sends for o in answer(netcheck, send, SEEN, 10.02)]
    assert [o.report.mapping_varies for o in outputs if isinstance(o, NetcheckDone)] == [None]


def test_both_address_families_are_reported() -> None:
    netcheck = new_netcheck()
    ipv4, ipv6 = netcheck.start({NYC: [NYC_SERVER, NYC_IPV6]}, 10.0)
    answer(netcheck, ipv4, SEEN, 10.02)
    [*_, done] = answer(netcheck, ipv6, SEEN_IPV6, 10.03)
    assert isinstance(done, NetcheckDone)
    assert (done.report.ipv4, done.report.ipv6) == (SEEN, SEEN_IPV6)


def test_an_answer_from_somebody_else_is_dropped_and_counted() -> None:
    netcheck = new_netcheck()
    [nyc] = netcheck.start({NYC: [NYC_SERVER]}, 10.0)
    datagram = stun.response(stun.parse_request(nyc.datagram), SEEN)
    assert netcheck.receive_stun(datagram, FRA_SERVER, 10.02) == []
    assert netcheck.receive_stun(stun.response(bytes(12), SEEN), NYC_SERVER, 10.02) == []
    assert netcheck.receive_stun(b"no stun at all", NYC_SERVER, 10.02) == []
    assert netcheck.counters == {"stun_unasked": 2, "stun_malformed": 1}
    assert netcheck.endpoints(10.1) == []


def test_the_true_answer_counts_after_a_forged_one() -> None:
    netcheck = new_netcheck()
    [nyc] = netcheck.start({NYC: [NYC_SERVER]}, 10.0)
    datagram = stun.response(stun.parse_request(nyc.datagram), SEEN)
    netcheck.receive_stun(datagram, FRA_SERVER, 10.01)
    assert netcheck.receive_stun(datagram, NYC_SERVER, 10.02)[0] == EndpointLearned(SEEN)


def test_a_relay_that_comes_up_during_a_run_is_asked_again_in_it() -> None:
    netcheck = new_netcheck()
    netcheck.start(TWO_REGIONS, 10.0)
    netcheck.tick(10.1)
    netcheck.tick(10.2)  # the third and last try
    assert netcheck.has_answered(FRA) is False
    [fra] = netcheck.ask_again(FRA, 12.9)
    assert fra.to == FRA_SERVER
    assert answer(netcheck, fra, SEEN, 12.92) == [EndpointLearned(SEEN)]
    assert netcheck.has_answered(FRA) is True
    assert netcheck.has_answered(NYC) is False


def test_it_has_three_tries_and_three_seconds_then() -> None:
    netcheck = new_netcheck()
    netcheck.start(TWO_REGIONS, 10.0)
    netcheck.tick(10.1)
    netcheck.tick(10.2)
    netcheck.ask_again(FRA, 12.9)
    later = ticks(netcheck)
    asked = [round(at, 3) for at, output in later if isinstance(output, SendStun)]
    assert (asked, round(later[-1][0], 3)) == ([13.0, 13.1], 15.9)


def test_a_relay_that_opens_just_after_it_was_asked_is_not_asked_twice_at_once() -> None:
    netcheck = new_netcheck()
    netcheck.start({NYC: [NYC_SERVER]}, 10.0)
    assert netcheck.ask_again(NYC, 10.01) == []
    asked = [round(at, 3) for at, output in ticks(netcheck) if isinstance(output, SendStun)]
    assert asked == [10.1, 10.2, 10.3]


def test_a_relay_that_comes_up_after_a_run_makes_another_one() -> None:
    netcheck = new_netcheck()
    netcheck.start(TWO_REGIONS, 10.0)
    assert reports(netcheck) == [(13.0, Report(udp=False))]
    assert netcheck.has_answered(NYC) is False
    assert [send.to for send in netcheck.ask_again(NYC, 14.0)] == [NYC_SERVER, FRA_SERVER]


def test_a_region_without_servers_is_not_waited_for() -> None:
    netcheck = new_netcheck()
    assert netcheck.has_answered(NYC) is True  # nobody knows its servers yet
    netcheck.start({NYC: [NYC_SERVER], FRA: []}, 10.0)
    assert netcheck.has_answered(FRA) is True


# --- by HTTPS, where UDP does not pass ---


def test_after_a_second_without_any_answer_the_relays_are_asked_by_https() -> None:
    netcheck = new_netcheck()
    netcheck.start(TWO_REGIONS, 10.0)
    asked = [(at, o) for at, o in ticks(netcheck) if isinstance(o, AskByHttps)]
    assert asked == [(11.0, AskByHttps(NYC)), (11.0, AskByHttps(FRA))]


def test_one_answer_by_udp_is_enough_to_ask_nobody_by_https() -> None:
    netcheck = new_netcheck()
    nyc, _ = netcheck.start(TWO_REGIONS, 10.0)
    answer(netcheck, nyc, SEEN, 10.02)
    assert [o for _, o in ticks(netcheck) if isinstance(o, AskByHttps)] == []


def test_the_nearest_by_https_is_home_where_udp_is_blocked() -> None:
    netcheck = new_netcheck()
    netcheck.start(TWO_REGIONS, 10.0)
    netcheck.tick(11.0)
    netcheck.receive_https(NYC, 0.080)
    netcheck.receive_https(FRA, 0.020)
    by_https = {NYC: 0.080, FRA: 0.020}
    assert reports(netcheck) == [(13.0, Report(udp=False, latency=by_https, preferred=FRA))]


def test_an_answer_by_udp_after_all_is_what_counts() -> None:
    netcheck = new_netcheck()
    nyc, _ = netcheck.start(TWO_REGIONS, 10.0)
    netcheck.tick(11.0)
    netcheck.receive_https(NYC, 0.500)
    netcheck.receive_https(FRA, 0.400)
    answer(netcheck, nyc, SEEN, 11.5)
    [(_, report)] = reports(netcheck)
    assert (report.udp, report.latency, report.preferred) == (True, {NYC: 1.5}, NYC)


def test_a_relay_that_answered_by_https_alone_has_not_answered() -> None:
    netcheck = new_netcheck()
    netcheck.start({NYC: [NYC_SERVER]}, 10.0)
    netcheck.tick(11.0)
    netcheck.receive_https(NYC, 0.020)
    reports(netcheck)
    assert netcheck.has_answered(NYC) is False  # UDP may work by the time it opens again


# --- home ---


def test_home_stays_unless_another_region_is_much_nearer() -> None:
    netcheck = new_netcheck()
    assert run(netcheck, {NYC: 0.030, FRA: 0.090}, 10.0).preferred == NYC
    assert run(netcheck, {NYC: 0.030, FRA: 0.025}, 40.0).preferred == NYC  # not 10 ms nearer
    assert run(netcheck, {NYC: 0.100, FRA: 0.050}, 400.0).preferred == FRA


def test_one_slow_answer_does_not_move_the_home() -> None:
    netcheck = new_netcheck()
    assert run(netcheck, {NYC: 0.030, FRA: 0.090}, 10.0).preferred == NYC
    assert run(netcheck, {NYC: 0.400, FRA: 0.090}, 40.0).preferred == NYC  # 30 ms lately


def test_a_home_that_is_gone_is_left() -> None:
    netcheck = new_netcheck()
    assert run(netcheck, {NYC: 0.030, FRA: 0.090}, 10.0).preferred == NYC
    [_, fra] = netcheck.start(TWO_REGIONS, 40.0)
    answer(netcheck, fra, SEEN, 40.09)
    assert [report.preferred for _, report in reports(netcheck)] == [FRA]


def test_without_any_answer_home_stays_where_it_was() -> None:
    netcheck = new_netcheck()
    run(netcheck, {NYC: 0.030, FRA: 0.090}, 10.0)
    netcheck.start(TWO_REGIONS, 40.0)
    assert reports(netcheck) == [(43.0, Report(udp=False, preferred=NYC))]


# --- again and again ---


def test_a_node_in_use_asks_again_every_twenty_to_twenty_six_seconds() -> None:
    netcheck = new_netcheck()
    run(netcheck, {NYC: 0.030, FRA: 0.090}, 10.0)
    netcheck.set_active(True, 11.0)
    assert netcheck.deadline is not None
    assert 30.0 <= netcheck.deadline < 36.0
    outputs = netcheck.tick(netcheck.deadline)
    assert [o.to for o in outputs if isinstance(o, SendStun)] == [NYC_SERVER, FRA_SERVER]


def test_a_run_that_nobody_answered_is_repeated_after_five_seconds() -> None:
    netcheck = new_netcheck()
    netcheck.start(TWO_REGIONS, 10.0)
    assert reports(netcheck) == [(13.0, Report(udp=False, preferred=None))]
    netcheck.set_active(True, 14.0)
    assert netcheck.deadline == 18.0
    assert len(netcheck.tick(18.0)) == 2


def test_one_that_was_answered_by_https_alone_is_not() -> None:
    netcheck = new_netcheck()
    netcheck.set_active(True, 0.0)
    netcheck.start(TWO_REGIONS, 10.0)
    netcheck.tick(11.0)
    netcheck.receive_https(NYC, 0.030)
    netcheck.tick(13.0)
    assert netcheck.deadline is not None
    assert netcheck.deadline >= 30.0


def test_an_idle_node_asks_nobody() -> None:
    netcheck = new_netcheck()
    run(netcheck, {NYC: 0.030, FRA: 0.090}, 10.0)
    netcheck.set_active(True, 11.0)
    netcheck.set_active(False, 12.0)
    assert netcheck.deadline is None


def test_a_node_that_was_idle_for_long_asks_at_once() -> None:
    netcheck = new_netcheck()
    run(netcheck, {NYC: 0.030, FRA: 0.090}, 10.0)
    assert netcheck.set_active(True, 20.0) == []  # fresh enough
    netcheck.set_active(False, 21.0)
    assert len(netcheck.set_active(True, 100.0)) == 2


def test_a_run_that_is_done_is_fresh_for_27_seconds() -> None:
    netcheck = new_netcheck()
    assert netcheck.fresh(10.0) is False
    run(netcheck, {NYC: 0.030, FRA: 0.090}, 10.0)
    assert netcheck.fresh(37.0) is True
    assert netcheck.fresh(37.1) is False


def test_an_endpoint_seen_once_is_offered_for_five_minutes() -> None:
    netcheck = new_netcheck()
    assert netcheck.learn(SEEN, 10.0) == [EndpointLearned(SEEN)]
    assert netcheck.learn(SEEN, 20.0) == []  # a pong's "seen as", known already
    assert netcheck.endpoints(329.9) == [SEEN]
    assert netcheck.endpoints(330.0) == []
    assert netcheck.learn(SEEN, 400.0) == [EndpointLearned(SEEN)]


def test_another_link_of_ours_forgets_what_was_seen() -> None:
    netcheck = new_netcheck()
    run(netcheck, {NYC: 0.030, FRA: 0.090}, 10.0)
    netcheck.forget()
    assert netcheck.endpoints(10.2) == []
    assert netcheck.fresh(10.2) is False


def test_a_run_in_which_the_machine_slept_for_long_ends_with_the_answer_that_waited() -> None:
    netcheck = new_netcheck()
    to_nyc, to_fra = netcheck.start(TWO_REGIONS, 10.0)
    answer(netcheck, to_nyc, SEEN, 10.02)
    outputs = answer(netcheck, to_fra, SEEN, 1000.0)  # before any tick
    [done] = [each for each in outputs if isinstance(each, NetcheckDone)]
    assert done.report.preferred == NYC


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            st.sampled_from([0.0, 0.05, 0.7, 5.0, 100.0]),
        ),
        max_size=40,
    )
)
def test_a_tick_always_moves_the_deadline(schedule: list[tuple[str, float]]) -> None:
    netcheck, now = new_netcheck(), 10.0
    sent: list[SendStun] = []
    for name, wait in schedule:
        now += wait
        outputs: list[Output] = []
        if name == "start":
            outputs += netcheck.start(TWO_REGIONS, now)
        elif name == "again":
            outputs += netcheck.ask_again(NYC, now)
        elif name == "https":
            netcheck.receive_https(NYC, wait)
        elif name == "answer" and sent:
            outputs += answer(netcheck, sent.pop(), SEEN, now)
        elif name in ("active", "idle"):
            outputs += netcheck.set_active(name == "active", now)
        elif name == "tick" and netcheck.deadline is not None:
            now = max(now, netcheck.deadline)
        if name.endswith("tick"):
            outputs += netcheck.tick(now)
            assert netcheck.deadline is None or netcheck.deadline > now
        sent += [output for output in outputs if isinstance(output, SendStun)]


# --- what the tests are made of ---


def new_netcheck() -> Netcheck:
    return Netcheck(counter_as_dice(1))


def answer(netcheck: Netcheck, send: SendStun, seen_as: Endpoint, now: float) -> list[Output]:
    datagram = stun.response(stun.parse_request(send.datagram), seen_as)
    return netcheck.receive_stun(datagram, send.to, now)


def run(netcheck: Netcheck, latencies: dict[int, float], now: float) -> Report:
    """One run in which these regions answer so fast."""
    sends = netcheck.start(TWO_REGIONS, now)
    by_server = {server: region for region, [server] in TWO_REGIONS.items()}
    for send in sorted(sends, key=lambda send: latencies[by_server[send.to]]):
        answer(netcheck, send, SEEN, now + latencies[by_server[send.to]])
    assert netcheck.report is not None
    return netcheck.report


def ticks(netcheck: Netcheck) -> list[tuple[float, Output]]:
    seen = []
    while netcheck.deadline is not None:
        now = netcheck.deadline
        seen += [(now, output) for output in netcheck.tick(now)]
        assert netcheck.deadline is None or netcheck.deadline > now
    return seen


def reports(netcheck: Netcheck) -> list[tuple[float, Report]]:
    return [(at, o.report) for at, o in ticks(netcheck) if isinstance(o, NetcheckDone)]
