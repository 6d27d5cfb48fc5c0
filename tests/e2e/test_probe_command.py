"""`lab.probe`: a router is measured, and one that is not what it is called is told apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lab.pytest_plugin import StartLab

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.scenario(98)
def test_routers_that_are_what_they_are_called(lab: StartLab) -> None:
    net = lab("easy-hard")

    done = probe(net.lab.folder)

    told = {one["router"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 0, done.stderr
    assert told["home-a"]["measured"]["mapping"] == "endpoint-independent"
    assert told["home-b"]["measured"]["mapping"] == "address-and-port-dependent"
    assert [one["disagreements"] for one in told.values()] == [[], []]


@pytest.mark.scenario(98)
def test_a_router_that_is_not_what_it_is_called(lab: StartLab) -> None:
    net = lab("easy-hard")
    hard = net.run("home-b", "iptables-save").stdout
    easy = hard.replace("--random-fully", "")
    assert easy != hard
    assert net.lab.run("home-b", ["iptables-restore"], input=easy).returncode == 0

    done = probe(net.lab.folder)

    told = {one["router"]: one["disagreements"] for one in json.loads(done.stdout)}
    assert done.returncode == 1
    assert told["home-a"] == []
    assert any(
        "declared address-and-port-dependent, measured endpoint-independent" in each
        for each in told["home-b"]
    )


def probe(folder: Path) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "invoke", "lab.probe", folder.name, "--json"]
    env = os.environ | {"PUNCHLAB_STATE": str(folder.parent)}
    return subprocess.run(
        argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=False
    )
