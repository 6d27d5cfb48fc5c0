"""Two nodes find each other, lose each other and find each other again."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.core.paths import Direct
from tests.node.two_ends import End, Nat, Pair

# --- finding ---


def test_two_homes_move_from_relay_to_direct_within_the_first_volley() -> None:
    pair = Pair()
    assert pair.send(pair.alice).relay
    pair.run(0.15)
    assert pair.alice.paths.path == Direct(pair.bob.endpoints[0])
    assert pair.bob.paths.path == Direct(pair.alice.endpoints[0])
    assert pair.send(pair.alice).relay is False


@pytest.mark.parametrize("round_trip", [0.0002, 0.001, 0.005, 0.015, 0.04, 0.3])
def test_both_ends_are_direct_after_two_relay_and_two_direct_round_trips(round_trip: float) -> None:
    pair = Pair()
    pair.direct_delay, pair.relay_delay = round_trip / 2, round_trip
    pair.send(pair.alice)
    pair.run(4 * round_trip)
    assert (pair.alice.kinds, pair.bob.kinds) == (["relay", "direct"], ["relay", "direct"])
    for end in (pair.alice, pair.bob):
        assert len(end.pings) <= 4 + 2 * (round_trip > 0.1)


def test_only_one_end_has_anything_to_say_and_both_find_the_path() -> None:
    pair = Pair()
    pair.send_every(0.1, 2.0, ends=(pair.alice,))
    assert (pair.alice.kinds, pair.bob.kinds) == (["relay", "direct"], ["relay", "direct"])


def test_a_hard_nat_on_one_side_is_met_by_the_ping_that_came_through() -> None:
    pair = Pair(bob=Open("203.0.113.20"), alice=Nat("203.0.113.10", symmetric=True))
    pair.send(pair.alice)
    pair.run(1.0)
    assert (pair.alice.kinds, pair.bob.kinds) == (["relay", "direct"], ["relay", "direct"])


def test_two_hard_nats_stay_on_the_relay() -> None:
    hard = [Nat(f"203.0.113.{n}", symmetric=True) for n in (10, 20)]
    pair = Pair(alice=hard[0], bob=hard[1])
    pair.send_every(0.5, 60.0, ends=(pair.alice, pair.bob))
    assert (pair.alice.kinds, pair.bob.kinds) == (["relay"], ["relay"])


def test_a_pair_that_stays_relayed_asks_ever_less_often() -> None:
    hard = [Nat(f"203.0.113.{n}", symmetric=True) for n in (10, 20)]
    pair = Pair(alice=hard[0], bob=hard[1])
    pair.send_every(0.5, 600.0, ends=(pair.alice, pair.bob))
    for end in (pair.alice, pair.bob):
        assert all(b - a >= 4.9 for a, b in pairwise(end.calls))
        assert 25.0 <= end.calls[-1] - end.calls[-2] <= 31.0
        assert len([t for t in end.pings if t > pair.now - 60.0]) <= 24


def test_the_first_call_me_maybe_lost_costs_five_seconds_and_no_more() -> None:
    pair = Pair()
    pair.relay_cut = True
    pair.send(pair.alice)
    pair.run(1.0)
    pair.relay_cut = False
    pair.run(4.5)
    assert pair.alice.kinds == ["relay", "direct"]


# --- losing ---


@pytest.mark.parametrize("gap", [0.01, 0.1, 0.3])
def test_a_cut_path_is_left_for_the_relay_within_a_second(gap: float) -> None:
    pair = Pair()
    pair.send_every(gap, 10.0, ends=(pair.alice, pair.bob))
    pair.cut = {"alice", "bob"}
    at = pair.now
    pair.send_every(gap, 2.0, ends=(pair.alice, pair.bob))
    for end in (pair.alice, pair.bob):
        assert end.kinds == ["relay", "direct", "relay"]
        assert end.history[-1][0] - at < 1.0
        assert end.whys[-1] == "direct path fell silent: 3 pings unanswered"


def test_data_is_mirrored_before_the_path_is_given_up() -> None:
    pair = Pair()
    pair.send_every(0.02, 10.0, ends=(pair.alice, pair.bob))
    pair.cut = {"alice", "bob"}
    at = pair.now
    pair.send_every(0.02, 2.0, ends=(pair.alice, pair.bob))
    first_after = min(t for t, _ in pair.bob.received if t > at + 2 * 0.02)
    assert first_after - at < 0.7
    assert pair.bob.history[-1][0] - at > first_after - at


def test_a_path_that_dies_one_way_is_left_by_both_ends() -> None:
    pair = Pair()
    pair.send_every(0.02, 10.0, ends=(pair.alice, pair.bob))
    pair.cut = {"alice"}
    at = pair.now
    pair.send_every(0.02, 4.0, ends=(pair.alice, pair.bob))
    assert pair.alice.kinds == pair.bob.kinds == ["relay", "direct", "relay"]
    gap = longest_silence([t for t, _ in pair.bob.received if t > at - 0.1])
    assert gap < 1.0


@pytest.mark.parametrize("cut", ["alice", "bob"])
@pytest.mark.parametrize("phase", [0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9])  # of a ping a second
def test_one_end_that_notices_is_enough_for_both(cut: str, phase: float) -> None:
    pair = Pair()
    pair.send_every(0.02, 10.0 + phase, ends=(pair.alice, pair.bob))
    pair.cut = {cut}
    at = pair.now
    pair.send_every(0.02, 4.0, ends=(pair.alice, pair.bob))
    for end in (pair.alice, pair.bob):
        assert longest_silence([t for t, _ in end.received if t > at - 0.1]) < 0.7


@pytest.mark.parametrize("phase", [0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9])
def test_answers_that_are_lost_flow_again_as_soon_as_questions_that_are(phase: float) -> None:
    pair = Answering()
    pair.send_every(0.02, 10.0 + phase, ends=(pair.alice,))
    pair.cut = {"bob"}
    at = pair.now
    pair.send_every(0.02, 4.0, ends=(pair.alice,))
    assert longest_silence([t for t, _ in pair.alice.received if t > at - 0.1]) < 0.7


def test_a_one_way_stream_notices_too() -> None:
    pair = Pair()
    pair.send_every(0.02, 10.0, ends=(pair.alice,))
    pair.cut = {"alice", "bob"}
    at = pair.now
    pair.send_every(0.02, 2.0, ends=(pair.alice,))
    assert longest_silence([t for t, _ in pair.bob.received if t > at - 0.1]) < 0.75


def test_an_idle_path_is_not_probed_and_proves_itself_at_the_next_word() -> None:
    pair = Pair()
    pair.send_every(0.1, 2.0, ends=(pair.alice,))
    pair.run(100.0)
    pings = len(pair.alice.pings) + len(pair.bob.pings)
    pair.run(500.0)
    assert len(pair.alice.pings) + len(pair.bob.pings) == pings
    pair.alice.nat.forget()
    pair.bob.nat.forget()
    assert pair.send(pair.alice).relay  # it may be dead by now: also by the relay
    pair.run(0.2)
    assert pair.send(pair.alice).relay is False


def test_a_way_that_lets_pings_pass_and_swallows_data_is_left_and_avoided() -> None:
    pair = Pair()
    pair.send_every(0.1, 5.0, ends=(pair.alice, pair.bob))
    pair.swallows_data = True
    at = pair.now
    pair.send_every(0.1, 60.0, ends=(pair.alice, pair.bob))
    for end in (pair.alice, pair.bob):
        assert end.kinds == ["relay", "direct", "relay"]
        assert end.history[-1][0] - at < 15.0
        assert end.whys[-1].endswith("pings pass there, data does not")
    pair.swallows_data = False
    pair.send_every(0.1, 30.0, ends=(pair.alice, pair.bob))
    assert pair.alice.kinds == pair.bob.kinds == ["relay", "direct", "relay", "direct"]


def test_a_one_way_stream_is_not_taken_for_swallowed_data() -> None:
    pair = Pair()
    pair.send_every(0.05, 120.0, ends=(pair.alice,))
    assert pair.alice.kinds == ["relay", "direct"]
    assert pair.send(pair.alice).relay is False


def test_a_path_that_comes_and_goes_is_taken_ever_less_readily() -> None:
    pair = Pair()
    for _ in range(20):
        pair.cut = {"alice", "bob"}
        pair.send_every(0.05, 1.5, ends=(pair.alice, pair.bob))
        pair.cut = set()
        pair.send_every(0.05, 1.5, ends=(pair.alice, pair.bob))
    assert 4 <= len(pair.alice.history) <= 18


# --- finding again ---


@pytest.mark.parametrize("outage", [2.0, 20.0, 100.0])
def test_a_repaired_path_is_back_within_three_seconds(outage: float) -> None:
    pair = Pair()
    pair.send_every(0.1, 5.0, ends=(pair.alice, pair.bob))
    pair.cut = {"alice", "bob"}
    pair.send_every(0.1, outage, ends=(pair.alice, pair.bob))
    assert pair.alice.kinds == ["relay", "direct", "relay"]
    pair.cut = set()
    at = pair.now
    pair.send_every(0.1, 4.0, ends=(pair.alice, pair.bob))
    for end in (pair.alice, pair.bob):
        assert end.kinds == ["relay", "direct", "relay", "direct"]
        assert end.history[-1][0] - at < 3.0


def test_a_new_public_address_is_found_by_pings_from_it() -> None:
    pair = Pair()
    pair.send_every(0.1, 5.0, ends=(pair.alice, pair.bob))
    pair.bob.nat = Nat("203.0.113.99")
    pair.bob.endpoints = (pair.bob.nat.out(pair.alice.endpoints[0], pair.now),)
    pair.carry_out(pair.bob, pair.bob.paths.reset(pair.now))
    pair.send_every(0.1, 3.0, ends=(pair.alice, pair.bob))
    assert pair.alice.paths.path == Direct(pair.bob.endpoints[0])
    assert pair.bob.kinds == ["relay", "direct", "relay", "direct"]


# --- loss ---


def test_a_few_percent_of_loss_does_not_cost_the_path() -> None:
    pair = Pair()
    dice = random.Random(1)
    pair.loses = lambda: dice.random() < 0.02
    pair.send_every(0.05, 300.0, ends=(pair.alice, pair.bob))
    assert (pair.alice.kinds, pair.bob.kinds) == (["relay", "direct"], ["relay", "direct"])


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.3, 0.6]))
def test_whatever_is_lost_nothing_spins_and_pings_stay_bounded(seed: int, loss: float) -> None:
    pair = Pair()
    dice = random.Random(seed)
    pair.loses = lambda: dice.random() < loss
    for _ in range(10):
        pair.cut = {end for end in ("alice", "bob") if dice.random() < 0.3}
        pair.send_every(dice.choice([0.05, 1.0]), dice.uniform(0.1, 8.0), ends=(pair.alice,))
        pair.run(dice.choice([0.0, 10.0, 60.0]))
    for end in (pair.alice, pair.bob):
        assert most_within(1.0, end.pings) <= 20


# --- what the tests are made of ---


class Open(Nat):
    """No NAT, no firewall."""

    def lets_in(self, source: object, port: int, now: float) -> bool:
        return True


class Answering(Pair):
    """bob answers everything, by the way that he thinks best."""

    def _note(self, end: End, number: int) -> None:
        super()._note(end, number)
        if end is self.bob:
            self.send(end)


def longest_silence(times: list[float]) -> float:
    return max(b - a for a, b in pairwise(times))


def most_within(seconds: float, times: list[float]) -> int:
    return max((sum(t <= u < t + seconds for u in times) for t in times), default=0)
