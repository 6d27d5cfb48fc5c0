"""The commands as people type them: what they print, how they exit, and what they leave behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.lab.traces import traces_of

Result = subprocess.CompletedProcess[str]
ROOT = Path(__file__).parent.parent.parent
NOBODY = [  # no rights but to read the files of this Python, which may lie in somebody's home
    *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
    *("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"),
    "--bounding-set=-all,+dac_read_search",
]


@pytest.fixture
def labs(tmp_path: Path) -> Path:
    """Where this test's labs live."""
    return tmp_path / "labs"


@pytest.fixture
def invoke(labs: Path) -> Iterator[Callable[..., Result]]:
    """Runs one command."""
    env = os.environ | {"PUNCHLAB_STATE": str(labs)}

    def run(*words: str, become: Sequence[str] = ()) -> Result:
        argv = [*become, sys.executable, "-m", "invoke", *words]
        return subprocess.run(
            argv, cwd=ROOT, env=env, capture_output=True, text=True, timeout=170, check=False
        )

    yield run
    run("lab.down", "all")


@pytest.mark.scenario(1, 4, 103)
def test_the_main_job_from_up_to_down(invoke: Callable[..., Result], labs: Path) -> None:
    up = invoke("lab.up", "topology=double-nat")
    assert up.returncode == 0, up.stderr
    assert "double-nat is up: 7 machines" in up.stdout
    assert "rules of" in up.stderr  # progress is visible, and not in the way of the answer
    traces = traces_of(labs / "double-nat")

    ping = invoke("lab.ping", "double-nat", "node-a", "node-b", "--until-direct")
    first, *_, last = ping.stdout.splitlines()
    assert ping.returncode == 0
    assert first.startswith("pong from node-b (100.64.2.20) via DERP(nyc) in ")
    assert last.startswith("pong from node-b (100.64.2.20) via 203.0.113.20:41641 in ")

    invoke("lab.wait", "double-nat", "node-b", "node-a", "--path", "direct")
    status = json.loads(invoke("lab.status", "double-nat", "--json").stdout)
    assert [path["kind"] for path in status["paths"]] == ["direct", "direct"]

    assert invoke("lab.unplug", "double-nat", "nyc").returncode == 0
    proof = invoke("lab.exec", "double-nat", "node-a", "--", "ping", "-c3", "100.64.2.20")
    assert (proof.returncode, "3 received" in proof.stdout) == (0, True)

    assert invoke("lab.down", "double-nat").returncode == 0
    assert traces.left() == {}
    assert not (labs / "double-nat").exists()


def test_two_hard_nats_stay_relayed_and_the_command_says_so(invoke: Callable[..., Result]) -> None:
    invoke("lab.up", "hard-pair")

    ping = invoke("lab.ping", "hard-pair", "node-a", "node-b", "--until-direct", "--timeout", "3")

    assert ping.returncode == 1
    assert ping.stdout.splitlines()[-1] == ("node-b stayed on DERP(nyc): no direct path within 3 s")


def test_the_same_lab_twice_is_no_error_and_another_one_under_its_name_is(
    invoke: Callable[..., Result],
) -> None:
    assert invoke("lab.up", "nat-pair").returncode == 0

    again = invoke("lab.up", "--topology", "nat-pair")
    assert (again.returncode, "is up already" in again.stderr) == (0, True)

    other = invoke("lab.up", "hard-pair", "--name", "nat-pair")
    assert (other.returncode, "with another plan" in other.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["lab.up", "topology=nat-pear"], 'there is no topology "nat-pear"'),
        (["lab.up", "no/such.toml"], "no/such.toml: there is no such file"),
        (["lab.plan", "nat-pair", "--set", "router.home-a.nat=symetric"], "symetric"),
        (["lab.plan", "nat-pair", "--set", "nonsense"], "expected KEY=VALUE"),
        (["lab.status", "nothing"], "there is no lab named nothing"),
        (["lab.exec", "nothing", "node-a"], "put the command after `--`"),
        (["lab.graph", "nat-pair", "--format", "png"], "format 'png' is not known"),
    ],
)
def test_bad_input_is_told_in_a_line_or_two(
    invoke: Callable[..., Result], words: list[str], told: str
) -> None:
    done = invoke(*words)

    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) <= 3
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody without rights")
@pytest.mark.parametrize("command", ["lab.plan", "lab.graph", "lab.topologies"])
def test_looking_needs_no_rights(invoke: Callable[..., Result], command: str) -> None:
    words = [command, "double-nat"] if command != "lab.topologies" else [command]

    done = invoke(*words, become=NOBODY)

    assert (done.returncode, "node-a" in done.stdout or "double-nat" in done.stdout) == (0, True)
