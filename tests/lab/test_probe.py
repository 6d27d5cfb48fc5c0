"""Every NAT does what its words say, measured; and the prober would notice if it did not.

How long a mapping lives is watched where it ends within seconds. `age-alone` stands for the preset
absolute-lifetime (20 s): it is that preset with 5 s in both places. `two-and-five` stands for home-linux
(30 s unanswered, 120 s).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from lab.client import Lab
from lab.errors import BadRequest
from lab.judge.measured import Measured, compare
from lab.judge.probe import probe
from lab.model.nat import PRESETS
from tests.lab.street import NATS, PAIRS, POOLS, SPECIALS, TIMED, WORDS, street

pytestmark = pytest.mark.xdist_group("street")  # one lab for all of these

SLACK = 0.2  # seconds: the kernel looks after dead mappings now and then, not always
AT_ONCE = 8  # routers; most of the time goes into waiting for what must not come
# Seconds to watch: more than the life in its words, and where something keeps a mapping alive, long
# enough to see that it outlives an idle one.
WATCHED = {**dict.fromkeys(TIMED, 6.0), "short-timer": 7.5, "no-inbound-refresh": 7.5}


# What the router is, what it is called, and the words by which that is found out.
WRONG_NAMES = [
    ("open", "firewall", ["filtering"]),
    ("firewall", "port-restricted-cone", ["mapping"]),
    ("udp-blocked", "open", ["udp"]),
    ("full-cone", "restricted-cone", ["filtering"]),
    ("restricted-cone", "full-cone", ["filtering"]),
    ("port-restricted-cone", "full-cone", ["filtering"]),
    ("symmetric", "port-restricted-cone", ["mapping", "ports"]),
    ("symmetric-sequential", "symmetric", ["ports"]),
    ("home-linux", "home-linux-input-accept", ["unsolicited"]),
    ("home-linux-input-accept", "home-linux", ["unsolicited"]),
    ("cgnat", "full-cone", ["ports", "hairpin"]),
    ("cgnat-hard", "cgnat", ["mapping", "filtering", "hairpin"]),
    ("elastic-ip", "elastic-ip-firewalled", ["filtering", "hairpin"]),
    ("elastic-ip-firewalled", "elastic-ip", ["filtering", "hairpin"]),
    ("short-timer", "port-restricted-cone", ["timeout", "timeout_unanswered"]),
    ("short-timer", "no-inbound-refresh", ["refresh"]),
    ("no-inbound-refresh", "short-timer", ["refresh"]),
    ("no-inbound-refresh", "udp-blocked", ["udp"]),
    ("icmp-blackhole", "port-restricted-cone", ["icmp"]),
    ("absolute-lifetime", "port-restricted-cone", ["ports", "icmp"]),
    ("parity", "sequential", ["ports", "hairpin"]),
    ("sequential", "parity", ["ports", "hairpin"]),
    ("by-endpoint", "symmetric", ["scope"]),
    ("crowded-symmetric", "by-endpoint", ["scope"]),
    ("paired", "arbitrary", ["hairpin", "pool"]),
    ("arbitrary", "paired", ["hairpin", "pool"]),
    ("crowded-linux", "crowded-cone", ["collisions"]),
    ("crowded-cone", "crowded-linux", ["collisions"]),
    ("open-once-used", "open", ["filtering"]),
    ("elastic-once-used", "elastic-ip", ["filtering", "hairpin"]),
    ("two-seconds", "port-restricted-cone", ["timeout", "timeout_unanswered"]),
    ("two-seconds", "two-and-five", ["timeout"]),
    ("two-and-five", "two-seconds", ["timeout"]),
    ("two-and-five", "home-linux", ["timeout", "timeout_unanswered"]),
    ("two-seconds-cone", "two-seconds", ["filtering"]),
    ("outbound-only", "two-seconds", ["refresh"]),
    ("two-seconds", "outbound-only", ["refresh"]),
    ("age-alone", "outbound-only", ["ports", "icmp", "timeout", "timeout_unanswered", "lifetime"]),
    ("dies-of-age", "two-seconds", ["ports", "icmp", "lifetime"]),
    ("two-seconds", "dies-of-age", ["ports", "icmp", "lifetime"]),
]


@dataclass(frozen=True)
class Street:
    lab: Lab
    results: dict[str, Future[Measured]]

    def measured(self, name: str) -> Measured:
        return self.results[name].result(timeout=300)

    def differing(self, declared: str, name: str) -> list[str]:
        found = compare(NATS[declared], self.measured(name), POOLS.get(name, 1))
        return [each.word for each in found]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(AT_ONCE) as pool:
        patch.setenv("PUNCHLAB_STATE", str(tmp_path_factory.mktemp("street")))
        lab = Lab.up(street())
        try:
            results = {
                name: pool.submit(probe, lab, name, timers=WATCHED.get(name))
                for name in sorted(WORDS, key=lambda name: name not in WATCHED)
            }
            yield Street(lab, results)
        finally:
            pool.shutdown(cancel_futures=True)
            lab.down()


@pytest.mark.scenario(98)
@pytest.mark.parametrize("name", WORDS)
def test_each_router_is_what_it_is_called(built: Street, name: str) -> None:
    found = compare(NATS[name], built.measured(name), POOLS.get(name, 1))

    assert found == []


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_called_by_another_name_is_refused_by_the_words_that_differ(
    built: Street, name: str
) -> None:
    for other in PAIRS:
        mine, theirs = NATS[name], NATS[other]
        wrong = [word for word in PAIRS[name] if getattr(mine, word) != getattr(theirs, word)]

        assert built.differing(other, name) == wrong


@pytest.mark.scenario(98)
@pytest.mark.parametrize(("name", "called", "words"), WRONG_NAMES)
def test_a_wrong_name_is_refused_by_the_words_that_differ(
    built: Street, name: str, called: str, words: list[str]
) -> None:
    assert built.differing(called, name) == words


def test_every_preset_and_special_has_a_wrong_name_above() -> None:
    assert {name for name, _, _ in WRONG_NAMES} >= {*PRESETS, *SPECIALS, *TIMED}


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("two-seconds", 2), ("outbound-only", 2), ("short-timer", 5), ("no-inbound-refresh", 5)],
)
def test_an_idle_life_is_known_from_both_sides(built: Street, name: str, seconds: float) -> None:
    timeout = built.measured(name).timeout

    assert timeout is not None
    assert timeout.holds(seconds, SLACK)
    assert timeout.less_than is not None


@pytest.mark.parametrize(
    ("name", "refresh"), [("short-timer", "both"), ("no-inbound-refresh", "outbound")]
)
def test_a_preset_of_few_seconds_is_kept_alive_from_where_it_says(
    built: Street, name: str, refresh: str
) -> None:
    assert built.measured(name).refresh == refresh


def test_a_mapping_that_nobody_answered_dies_sooner_with_linux(built: Street) -> None:
    measured = built.measured("two-and-five")

    assert measured.timeout_unanswered is not None
    assert measured.timeout_unanswered.holds(2, SLACK)
    assert measured.timeout is not None
    assert measured.timeout.holds(5, SLACK)
    assert measured.timeout.less_than is not None


def test_a_used_mapping_lives_for_ever_or_to_its_age(built: Street) -> None:
    used, aged = built.measured("two-seconds").lifetime, built.measured("dies-of-age").lifetime

    assert used is not None
    assert (used.more_than > 5, used.less_than) == (True, None)
    assert aged is not None
    assert aged.holds(4, SLACK)
    assert aged.less_than is not None


def test_what_is_no_router_cannot_be_probed(built: Street) -> None:
    for name in ("judge", "nobody"):
        with pytest.raises(BadRequest, match=f"{name} is no router"):
            probe(built.lab, name)
