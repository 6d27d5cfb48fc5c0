"""How long each preset keeps a mapping, read from the kernel after one packet: nobody has to wait for it.

That a mapping really ends when its time is over is watched on routers of two seconds (`test_probe`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.client import Lab
from lab.model.nat import PRESETS, Nat, sysctls
from tests.lab.remembered import Remembered, remembered
from tests.lab.street import street

pytestmark = [
    pytest.mark.xdist_group("timeouts"),  # one lab for all of these
    pytest.mark.skipif(
        not Path("/proc/net/nf_conntrack").exists(), reason="the kernel hides flows"
    ),
]

TIMED = [name for name, nat in PRESETS.items() if nat.udp and sysctls(nat)]
BY_MAP = ["full-cone", "restricted-cone", "symmetric-sequential", "cgnat", "no-inbound-refresh"]
OF_LINUX = ["home-linux", "home-linux-input-accept"]
Found = tuple[dict[str, Remembered], dict[str, str]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    tables = {**{name: ["in"] for name in BY_MAP}, "absolute-lifetime": ["in", "young1"]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUNCHLAB_STATE", str(tmp_path_factory.mktemp("timeouts")))
        lab = Lab.up(street(TIMED))
        try:
            yield remembered(lab, TIMED, tables, OF_LINUX)
        finally:
            lab.down()


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("firewall", 120),
        ("full-cone", 120),
        ("restricted-cone", 120),
        ("port-restricted-cone", 120),
        ("symmetric", 120),
        ("symmetric-sequential", 120),
        ("home-linux", 30),  # until somebody answers
        ("home-linux-input-accept", 30),
        ("cgnat", 120),
        ("cgnat-hard", 30),
        ("elastic-ip", 120),
        ("elastic-ip-firewalled", 120),
        ("short-timer", 5),
        ("no-inbound-refresh", 5),
        ("icmp-blackhole", 120),
        ("absolute-lifetime", 20),
    ],
)
def test_a_flow_lives_for_as_long_as_its_preset_says(found: Found, name: str, seconds: int) -> None:
    of_one_packet, _ = found

    assert of_one_packet[name].left == within(seconds, of_one_packet[name].passed)


@pytest.mark.parametrize(
    ("name", "table", "seconds"),
    [
        *((name, "in", PRESETS[name].timeout) for name in BY_MAP),
        ("absolute-lifetime", "in", 20),
        ("absolute-lifetime", "young1", 20),  # its age, whatever runs through it
    ],
)
def test_a_mapping_that_rules_remember_lives_as_long(
    found: Found, name: str, table: str, seconds: int
) -> None:
    of_one_packet, _ = found

    assert of_one_packet[name].left_in(table) == within(seconds, of_one_packet[name].passed)


@pytest.mark.parametrize("name", OF_LINUX)
def test_an_answered_flow_of_linux_lives_for_two_minutes(found: Found, name: str) -> None:
    """The kernel takes it for a stream when it has been used for two seconds, both ways."""
    _, of_conversations = found

    assert "[ASSURED]" in of_conversations[name]
    assert 100 < int(of_conversations[name].split()[4]) <= 120


def test_every_preset_that_has_a_timer_is_above() -> None:
    plain = Nat()
    assert {name for name in PRESETS if PRESETS[name].timeout != plain.timeout} <= {*TIMED}
    assert len(TIMED) == 16


def within(seconds: int, passed: float) -> object:
    """The kernel says whole seconds, and some have passed since the packet."""
    return pytest.approx(seconds - passed / 2, abs=passed / 2 + 1)
