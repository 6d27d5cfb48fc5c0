"""The keeper's promise: a lab is there whole, or not at all, whoever dies and whenever."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.client import Lab
from lab.errors import BuildFailed, LabError
from lab.model.plan import DaemonPlan, Ruleset
from tests.lab.conftest import Up
from tests.lab.plans import A, B, lasting, shell, two_hosts
from tests.lab.traces import Traces, keeper, kill_keeper, machine_links, traces_of, wait_for_end

HERE = Path(__file__).parent.parent.parent
NAT = Ruleset("iptables", "*nat\n-A POSTROUTING -o node-b -j MASQUERADE\nCOMMIT\n", "a test")
MOMENTS = ["3 namespaces", "2 wires", "addresses", "rules of middle", "daemons of node-a, node-b"]


@pytest.mark.scenario(103)
def test_a_killed_keeper_takes_everything_with_it(up: Up) -> None:
    lab = up(two_hosts(lasting(A), lasting(B), rules=(NAT,)))
    inside = lab.popen(A, ["sh", "-c", "echo here; exec sleep 1000"], stdout=subprocess.PIPE)
    assert inside.stdout is not None
    assert inside.stdout.readline() == b"here\n"
    traces = traces_of(lab.folder)
    assert len(traces.processes()) == 6  # keeper, its parent, two daemons, the command, its parent

    kill_keeper(lab.folder)

    assert inside.wait() == -signal.SIGKILL
    assert traces.left() == {}


@pytest.mark.scenario(103)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_keeper_killed_while_it_builds_leaves_nothing(state: Path, moment: str) -> None:
    traces: list[Traces] = []

    def kill_at_the_moment(said: str) -> None:
        if said.startswith(moment):
            traces.append(traces_of(state / "two"))
            os.kill(keeper(state / "two"), signal.SIGKILL)

    # Without a daemon that never becomes ready the keeper could win the race.
    plan = two_hosts(lasting(A), shell(B, "sleep 1000"), rules=(NAT,))
    with pytest.raises(BuildFailed, match="the keeper ended without a word"):
        Lab.up(plan, progress=kill_at_the_moment)

    [then] = traces
    assert then.left() == {}
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_starter_that_goes_away_takes_the_lab_with_it(
    state: Path, moment: str, number: signal.Signals
) -> None:
    with _starting() as starter:
        assert starter.stdout is not None
        for line in starter.stdout:
            if line.startswith(moment):
                break
        traces = traces_of(state / "two")
        ends = os.pidfd_open(keeper(state / "two"))

        starter.send_signal(number)

        starter.wait(60)
        assert select.select([ends], [], [], 60)[0]
        os.close(ends)
        if number == signal.SIGKILL:
            wait_for_end(state / "two")

    assert traces.left() == {}
    assert Lab.running() == []
    assert list(state.iterdir()) == []


def test_a_lab_that_is_tied_to_its_starter_ends_with_it(state: Path) -> None:
    script = (
        "from tests.lab.test_keeper import *\n"
        "lab = Lab.up(two_hosts(lasting(A)), tied=True)\n"
        "print(lab.run(A, ['true']).returncode, flush=True)\n"
        "signal.pause()\n"
    )
    argv = [sys.executable, "-c", script]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=HERE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "0\n"
        traces = traces_of(state / "two")
        ends = os.pidfd_open(keeper(state / "two"))

        starter.kill()

        assert select.select([ends], [], [], 10)[0]
        os.close(ends)
        wait_for_end(state / "two")
    assert traces.left() == {}
    assert Lab.running() == []


def test_ctrl_c_has_cleared_up_when_it_returns(state: Path) -> None:
    with _starting() as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == "3 namespaces\n"

        starter.send_signal(signal.SIGINT)

        assert starter.wait(60) == -signal.SIGINT
    assert list(state.iterdir()) == []


def test_a_daemon_that_dies_at_the_start_fails_the_lab(state: Path) -> None:
    plan = two_hosts(lasting(A), shell(B, "echo port in use >&2; exit 3"))

    with pytest.raises(BuildFailed) as failure:
        Lab.up(plan)

    assert str(failure.value) == (
        "node-b: its command ended at the start (exit status 3)\nport in use"
    )
    assert list(state.iterdir()) == []


@pytest.mark.needs_lab("miniupnpd")
def test_a_router_whose_miniupnpd_dies_at_the_start_is_no_lab_and_its_last_words_are_told(
    state: Path,
) -> None:
    with pytest.raises(BuildFailed) as failure:
        Lab.up(two_hosts(DaemonPlan("middle", "miniupnpd", {"protocols": ["pcp"], "lan": "none"})))

    first, *last_words = str(failure.value).splitlines()
    assert first == "middle: its miniupnpd ended at the start (exit status 1)"
    assert "parsing error file" in last_words[0]
    assert list(state.iterdir()) == []


def test_a_daemon_without_a_program_fails_the_lab(state: Path) -> None:
    plan = two_hosts(DaemonPlan(B, "command", {"argv": ["no-such-daemon"]}))

    with pytest.raises(BuildFailed, match="node-b: command does not start: No such file or dir"):
        Lab.up(plan)

    assert list(state.iterdir()) == []


def test_rules_that_do_not_load_are_named_with_router_line_and_words(state: Path) -> None:
    text = "*filter\n-A FORWARD -j ACCEPT\n-A FORWARD -m nonsense -j ACCEPT\nCOMMIT\n"

    with pytest.raises(BuildFailed, match="middle: its iptables rules do not load") as failure:
        Lab.up(two_hosts(rules=(Ruleset("iptables", text, "a test"),)))

    assert "nonsense" in str(failure.value)
    assert list(state.iterdir()) == []


def test_nftables_rules_that_do_not_load_are_named_too(state: Path) -> None:
    text = "table ip t {\n  chain c {\n    nonsense\n  }\n}\n"

    with pytest.raises(BuildFailed, match=r"middle: its nftables .* line 3 \(nonsense\)"):
        Lab.up(two_hosts(rules=(Ruleset("nftables", text, "a test"),)))


def test_rules_that_only_the_kernel_refuses_are_named_with_its_words(state: Path) -> None:
    hook = "type filter hook output priority 0"
    text = f"table ip t {{\n  chain c {{\n    {hook}\n    masquerade\n  }}\n}}\n"

    with pytest.raises(BuildFailed) as failure:
        Lab.up(two_hosts(rules=(Ruleset("nftables", text, "a test"),)))

    told = str(failure.value)
    assert told.startswith("middle: its nftables rules do not load, line 4 (masquerade): ")
    assert "Operation not supported" in told
    assert list(state.iterdir()) == []


def test_a_folder_that_somebody_else_is_just_filling_is_left_alone(state: Path) -> None:
    with _starting() as starter:
        assert starter.stdout is not None
        for line in starter.stdout:
            if line.startswith("daemons"):
                break

        with pytest.raises(LabError, match="two is in the hands of another command just now"):
            Lab.up(two_hosts(lasting(A), shell(B, "sleep 1000"), rules=(NAT,)))

        starter.send_signal(signal.SIGINT)
        starter.wait(60)


@pytest.mark.parametrize("pages", [1, 2, 3])
def test_a_full_disk_is_one_clear_error(state: Path, pages: int) -> None:
    state.mkdir()
    script = (
        "from tests.lab.test_keeper import *\n"
        "from tests.lab.plans import *\n"
        "try: Lab.up(two_hosts(lasting(A), lasting(B), rules=(NAT,))).down()\n"
        "except LabError as error: print(error)\n"
        "print(Lab.running())\n"
    )
    mount = f'mount -t tmpfs -o size={pages * 4}k tmpfs {state}; exec "$@"'
    argv = ["unshare", "--mount", "sh", "-ec", mount, "sh", sys.executable, "-c", script]

    done = subprocess.run(argv, cwd=HERE, capture_output=True, text=True, check=False)

    problem, running = done.stdout.splitlines()
    assert problem.endswith("No space left on device"), done.stderr
    assert running == "[]"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ("/usr/lib/*/libnftables.so.1", "nftables is not installed"),
        ("/usr/sbin/xtables-*-multi", "iptables is not installed"),
        ("/usr/sbin/miniupnpd", "middle runs miniupnpd, which needs miniupnpd"),
        ("/usr/sbin/tayga", "middle runs tayga, which needs tayga"),
        ("/usr/bin/turnserver", "middle runs coturn, which needs turnserver"),
    ],
)
def test_a_missing_tool_is_one_clear_error_and_no_lab(state: Path, files: str, told: str) -> None:
    script = (
        "from tests.lab.test_keeper import *\n"
        "from tests.lab.plans import *\n"
        "kinds = {'miniupnpd': {'protocols': ['pcp'], 'lan': '10.0.0.0/8'}, 'tayga': {}, 'coturn': {}}\n"
        "runs = (DaemonPlan('middle', *kind) for kind in kinds.items())\n"
        "rules = (NAT, Ruleset('nftables', 'table ip t {\\n}\\n', 'a test'))\n"
        "try: Lab.up(two_hosts(*runs, rules=rules)).down()\n"
        "except LabError as error: print(error)\n"
    )
    hide = f'for each in {files}; do mount --bind /dev/null $each; done; exec "$@"'
    argv = ["unshare", "--mount", "sh", "-ec", hide, "sh", sys.executable, "-c", script]

    done = subprocess.run(argv, cwd=HERE, capture_output=True, text=True, check=False)

    assert done.stdout.startswith(told), done.stdout + done.stderr
    assert "apt-get install" in done.stdout
    assert list(state.iterdir()) == []


def test_the_machines_own_network_is_never_touched(up: Up) -> None:
    before = machine_links()

    lab = up(two_hosts(lasting(A), rules=(NAT,)))

    assert machine_links() == before
    lab.down()
    assert machine_links() == before


def test_a_user_without_rights_can_do_it_all(nobody: list[str]) -> None:
    script = (
        "from tests.lab.plans import *\n"
        "from tests.lab.test_keeper import *\n"
        "lab = Lab.up(two_hosts(lasting(A), rules=(NAT,)))\n"
        "try:\n"
        "    print(lab.run(A, [*PING, B]).returncode, lab.unplug(B))\n"
        "    rules = lab.run('middle', ['iptables', '-t', 'nat', '-S', 'POSTROUTING'])\n"
        "    print(rules.stdout.split())\n"
        "finally:\n"
        "    lab.down()\n"
        "print(Lab.running())\n"
    )

    done = subprocess.run(
        [*nobody, "-c", script], cwd=HERE, capture_output=True, text=True, check=False
    )

    assert done.stdout.splitlines() == [
        "0 ['node-b/eth0 to middle/node-b']",
        "['-P', 'POSTROUTING', 'ACCEPT', '-A', 'POSTROUTING', '-o', 'node-b', '-j', 'MASQUERADE']",
        "[]",
    ], done.stderr


def _starting() -> subprocess.Popen[str]:
    """Another process that brings up a lab which never becomes ready, and prints its progress."""
    script = (
        "from tests.lab.test_keeper import *\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "plan = two_hosts(lasting(A), shell(B, 'sleep 1000'), rules=(NAT,))\n"
        "Lab.up(plan, progress=lambda said: print(said, flush=True))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=HERE,
    )
