"""The daemon's clock goes on while the machine sleeps, as WireGuard's must: keys die of age meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = "import time; from node.io.loop import Loop; print(Loop.now() - time.monotonic())"


@pytest.mark.scenario(69)
@pytest.mark.parametrize("slept", [0, 3600])
def test_the_time_of_a_suspend_counts(slept: int) -> None:
    """A machine that has slept that long, as far as its clocks tell."""
    before = ahead_of_the_monotonic_clock()
    assert ahead_of_the_monotonic_clock(slept) - before == pytest.approx(slept, abs=60)


def ahead_of_the_monotonic_clock(slept: int = 0) -> float:
    become = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    clock = ["unshare", *become, "--time", "--boottime", str(slept)]
    if subprocess.run([*clock, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no time namespaces here")
    done = subprocess.run([*clock, sys.executable, "-c", PROGRAM], capture_output=True, check=True)
    return float(done.stdout)
