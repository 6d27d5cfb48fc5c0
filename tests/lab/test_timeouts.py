"""How long each preset keeps a mapping, read from the kernel after one packet: nobody has to wait for it.

That a mapping really ends when its time is over is watched on routers of two seconds (`test_probe`).
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.client import Lab
from lab.model.nat import PRESETS, Nat
from tests.lab.street import street

pytestmark = [
    pytest.mark.xdist_group("timeouts"),  # one lab for all of these
    pytest.mark.skipif(
        not Path("/proc/net/nf_conntrack").exists(), reason="the kernel hides flows"
    ),
]

TIMED = [name for name, nat in PRESETS.items() if nat.udp and nat.filtering != "none"]
BY_MAP = ["full-cone", "restricted-cone", "symmetric-sequential", "cgnat", "no-inbound-refresh"]
NOBODY, PORT = "192.0.2.10", 41999  # who never answers on this port, and from which we ask


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUNCHLAB_STATE", str(tmp_path_factory.mktemp("timeouts")))
        lab = Lab.up(street(TIMED))
        yield lab
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
        ("elastic-ip-firewalled", 120),
        ("short-timer", 5),
        ("no-inbound-refresh", 5),
        ("icmp-blackhole", 120),
        ("absolute-lifetime", 20),
    ],
)
def test_a_flow_lives_for_as_long_as_its_preset_says(lab: Lab, name: str, seconds: int) -> None:
    before = time.monotonic()
    send(lab, f"{name}-1")
    left = of_flow(lab, name)

    assert left == within(seconds, before)


@pytest.mark.parametrize(
    ("name", "map_", "seconds"),
    [
        *((name, "in", PRESETS[name].timeout) for name in BY_MAP),
        ("absolute-lifetime", "in", 20),
        ("absolute-lifetime", "young1", 20),  # its age, whatever runs through it
    ],
)
def test_a_mapping_that_rules_remember_lives_as_long(
    lab: Lab, name: str, map_: str, seconds: int
) -> None:
    before = time.monotonic()
    send(lab, f"{name}-1")
    left = of_map(lab, name, map_)

    if map_ == "young1":
        assert 0 < left <= seconds  # an earlier packet began it
    else:
        assert left == within(seconds, before)


@pytest.mark.parametrize("name", ["home-linux", "home-linux-input-accept"])
def test_an_answered_flow_of_linux_lives_for_two_minutes(lab: Lab, name: str) -> None:
    """The kernel takes it for a stream when it has been used for two seconds, both ways."""
    talk = (
        "import socket, time\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"s.bind(('', {PORT + 1}))\n"
        "while True:\n"
        "    s.sendto(b'x', ('192.0.2.10', 42000))\n"
        "    time.sleep(0.1)\n"
    )
    echo = (
        "import socket\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.bind(('192.0.2.10', 42000))\n"
        "print('listening', flush=True)\n"
        "while True:\n"
        "    s.sendto(*s.recvfrom(9))\n"
    )
    with (
        lab.popen("judge", ["python3", "-c", echo], stdout=subprocess.PIPE) as echoing,
        lab.popen(f"{name}-1", ["python3", "-c", talk]) as talking,
    ):
        until = time.monotonic() + 20
        while "[ASSURED]" not in (line := flow(lab, name, 42000)) and time.monotonic() < until:
            time.sleep(0.05)
        for each in (talking, echoing):
            each.kill()

    assert 100 < int(line.split()[4]) <= 120


def test_every_preset_that_has_a_timer_is_above() -> None:
    plain = Nat()
    assert {name for name in PRESETS if PRESETS[name].timeout != plain.timeout} <= {*TIMED}
    assert len(TIMED) == 15


def send(lab: Lab, host: str) -> None:
    script = (
        "import socket\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        f"s.bind(('', {PORT}))\n"
        f"s.sendto(b'x', ('{NOBODY}', 9))\n"
    )
    assert lab.run(host, ["python3", "-S", "-c", script]).returncode == 0


def within(seconds: int, since: float) -> object:
    """The kernel says whole seconds, and some have passed since the packet."""
    passed = time.monotonic() - since
    return pytest.approx(seconds - passed / 2, abs=passed / 2 + 1)


def of_flow(lab: Lab, router: str) -> int:
    return int(flow(lab, router, 9).split()[4])


def flow(lab: Lab, router: str, port: int) -> str:
    """What the kernel says of the flow to this port; the fifth word is how long it still has."""
    lines = lab.run(router, ["cat", "/proc/net/nf_conntrack"]).stdout.splitlines()
    return next((line for line in lines if f" dport={port} " in line), "")


def of_map(lab: Lab, router: str, name: str) -> int:
    """Of the entry with our port on its inside."""
    kind = "map" if name == "in" else "set"
    said = json.loads(lab.run(router, ["nft", "-j", "list", kind, "ip", "punchlab", name]).stdout)
    [table] = [each[kind] for each in said["nftables"] if kind in each]
    for entry in table["elem"]:
        key, inside = entry if kind == "map" else (entry, entry["elem"]["val"])
        if inside["concat"][1] == PORT:
            left: int = key["elem"]["expires"]
            return left
    raise AssertionError(f"{router} has not our port in {name}: {table['elem']}")
