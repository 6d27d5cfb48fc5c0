"""Random faults for minutes, by seed: whatever happens, afterwards packets get through again.

`python -m tests.bench --only simulate` runs any number of seeds, and whole days.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from node.core.lanes import SOON
from tests.node import network
from tests.node.simulation import Simulation

MINUTES = 0.5


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happened_packets_get_through_afterwards(seed: int) -> None:
    simulation = Simulation(seed)
    simulation.run(MINUTES)
    simulation.check()


@pytest.mark.parametrize("seed", range(40))
def test_the_same_where_lone_packets_take_lanes(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "DATA_PATH", "plain")
    simulation = Simulation(seed)
    simulation.run(MINUTES)
    simulation.check(most_ticks=1 / SOON)


def test_a_day_of_ordinary_life_with_its_troubles() -> None:
    simulation = Simulation(0)
    simulation.run(24 * 60, lulls=True)
    simulation.check()


def test_a_seed_is_one_life_in_whatever_process_it_is_lived() -> None:
    code = "from tests.node.test_simulation import life; print(life(7))"
    elsewhere = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONHASHSEED": "1234"},
        capture_output=True,
        text=True,
        check=True,
    )
    lived = life(7)
    assert life(7) == lived
    assert elsewhere.stdout == f"{lived}\n"
    assert life(8) != lived


def test_two_idle_nodes_do_nothing() -> None:
    simulation = Simulation(1)
    assert simulation.reaches(simulation.a, simulation.b, within=5.0)
    simulation.net.run(700.0)  # everything that follows from those packets has happened
    ticks, sent = simulation.a.ticks, simulation.a.sent
    simulation.net.run(3600.0)
    assert simulation.a.ticks - ticks < 10
    assert simulation.a.sent == sent


def life(seed: int) -> str:
    """Half a minute of it: what was sent, what came of it, and when it ended."""
    simulation = Simulation(seed)
    simulation.run(MINUTES)
    told = [
        (machine.ticks, machine.sent, sorted(machine.mesh.all_counters.items()))
        for machine in simulation.net.machines.values()
    ]
    return f"{simulation.net.now} {simulation.sent} {told}"
