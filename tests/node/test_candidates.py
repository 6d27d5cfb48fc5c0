"""Where a peer may be: how long each address is believed, and how often it is asked."""

from __future__ import annotations

import pytest

from node.core.candidates import Candidate, Candidates, gap_after
from node.core.pace import Pace
from node.wire.endpoint import Endpoint

BOB = Endpoint("203.0.113.20", 41641)
BOB_LAN = Endpoint("192.168.1.20", 41641)


def many(count: int) -> list[Endpoint]:
    return [Endpoint(f"198.51.{n // 250}.{n % 250 + 1}", 41641) for n in range(count)]


@pytest.mark.parametrize(
    ("pings", "gap"), [(1, 0.1), (4, 0.8), (7, 5.0), (18, 5.0), (19, 6.25), (100, 30.0)]
)
def test_the_gap_after_so_many_pings(pings: int, gap: float) -> None:
    assert gap_after(pings) == gap


def test_where_a_path_has_been_it_is_looked_for_every_two_seconds() -> None:
    candidate = Candidate(BOB)
    candidate.ponged(0.02, 0.0)
    now, gaps = 1.0, []
    for _ in range(40):
        candidate.pinged(now)
        gaps.append(round(candidate.due - now, 3))
        now = candidate.due
    assert max(gaps) == 2.0


def test_a_latency_is_an_average_that_one_outlier_does_not_move_far() -> None:
    candidate = Candidate(BOB)
    candidate.ponged(0.020, 0.0)
    candidate.ponged(0.060, 1.0)
    assert candidate.latency == pytest.approx(0.030)


def test_a_first_ping_that_had_to_wait_is_forgotten_with_the_next() -> None:
    candidate = Candidate(BOB)
    candidate.ponged(1.0, 0.0)
    candidate.ponged(0.002, 2.0)
    assert candidate.latency == pytest.approx(0.002)


def test_a_learned_endpoint_goes_45_seconds_after_its_last_ping() -> None:
    candidates = Candidates()
    candidates.learn(BOB, 0.0)
    candidates.learn(BOB, 10.0)
    candidates.prune(54.9, keep=None)
    assert len(candidates) == 1
    candidates.prune(55.0, keep=None)
    assert len(candidates) == 0


def test_what_two_sources_name_stays_until_both_drop_it() -> None:
    candidates = Candidates()
    candidates.set_netmap([BOB], 0.0)
    candidates.set_called([BOB, BOB_LAN], 0.0)
    candidates.set_called([BOB_LAN], 1.0)
    candidates.prune(1.0, keep=None)
    assert candidates.get(BOB)
    candidates.set_netmap([], 2.0)
    candidates.prune(2.0, keep=None)
    assert [c.endpoint for c in candidates] == [BOB_LAN]


def test_the_endpoint_in_use_is_never_forgotten() -> None:
    candidates = Candidates()
    candidates.set_called([BOB], 0.0)
    candidates.set_called([], 1.0)
    candidates.prune(1000.0, keep=BOB)
    assert candidates.get(BOB)


def test_a_flood_of_learned_endpoints_pushes_out_only_its_own_kind() -> None:
    candidates = Candidates()
    candidates.set_netmap([BOB], 0.0)
    for at, endpoint in enumerate(many(500)):
        candidates.learn(endpoint, at / 1000)
    assert len(candidates) == 64
    assert candidates.get(BOB)
    assert candidates.get(many(500)[-1])


def test_a_peer_that_claims_to_be_everywhere_is_believed_64_times() -> None:
    candidates = Candidates()
    candidates.set_called(many(500), 0.0)
    assert len(candidates) == 64


def test_a_pace_lets_a_burst_pass_and_then_a_steady_rate() -> None:
    pace = Pace(rate=10, burst=3)
    assert [pace.take(5.0) for _ in range(4)] == [True, True, True, False]
    assert pace.free_at > 5.0
    assert pace.take(pace.free_at)
    assert not pace.take(5.1 + 0.05)
    assert [pace.take(100.0) for _ in range(4)] == [True, True, True, False]
