"""A lab from its door: up, things run in it, cables pulled, down."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from lab import client, stopping
from lab.client import Lab
from lab.errors import BadRequest, LabError, NoPath, NoSuchLab
from lab.model.plan import DaemonPlan
from lab.state import Claim
from tests.lab.conftest import Up
from tests.lab.plans import B_ADDRESS, MIDDLE, PING, A, B, lasting, shell, two_hosts
from tests.lab.traces import keeper, kill_keeper, traces_of


def test_two_hosts_come_up_and_reach_each_other_by_name(up: Up) -> None:
    lab = up(two_hosts())

    assert lab.run(A, [*PING, B]).returncode == 0
    assert lab.run(B, [*PING, A]).returncode == 0


@pytest.mark.scenario(103)
def test_down_leaves_nothing(up: Up, state: Path) -> None:
    lab = up(two_hosts(lasting(A)))
    traces = traces_of(lab.folder)
    assert len(traces.processes()) == 3  # the keeper, its parent, the daemon

    lab.down()

    assert traces.left() == {}
    assert list(state.iterdir()) == []


def test_down_twice_is_fine(up: Up) -> None:
    lab = up(two_hosts())

    assert client.down(lab.name)
    assert not client.down(lab.name)


def test_somebody_else_may_clear_away_what_is_taken_down(
    up: Up, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = up(two_hosts())
    stop = stopping.stop

    def stop_and_lose_the_race(folder: Path) -> None:
        stop(folder)
        while (claim := Claim.take(folder)) is None:  # the keeper's parent lets go a moment later
            time.sleep(0.001)
        threading.Timer(0.1, claim.remove).start()

    monkeypatch.setattr(stopping, "stop", stop_and_lose_the_race)

    lab.down()

    assert list(state.iterdir()) == []


def test_up_twice_with_the_same_input_is_the_same_lab(up: Up) -> None:
    lab = up(two_hosts())
    said: list[str] = []

    again = up(two_hosts(), progress=said.append)

    assert keeper(again.folder) == keeper(lab.folder)
    assert said == ["two is up already"]


def test_up_with_another_plan_under_the_same_name_is_refused(up: Up) -> None:
    up(two_hosts())

    with pytest.raises(BadRequest, match="two is up already, with another plan"):
        up(two_hosts(lasting(A)))


@pytest.mark.scenario(104)
def test_two_labs_of_one_topology_do_not_meet(up: Up) -> None:
    one, other = up(two_hosts(), "one"), up(two_hosts(), "other")

    one.unplug(B)

    assert one.run(A, [*PING, B]).returncode == 1
    assert other.run(A, [*PING, B]).returncode == 0
    assert Lab.running() == ["one", "other"]


def test_attach_finds_a_running_lab_by_name(up: Up) -> None:
    up(two_hosts(), "here")

    assert Lab.attach("here").run(A, ["true"]).returncode == 0
    with pytest.raises(NoSuchLab, match="there is no lab named there\nrunning: here"):
        Lab.attach("there")


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "x" * 41])
def test_a_name_that_is_no_folder_is_refused(state: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="cannot be a lab's name"):
        Lab.up(two_hosts(topology=name))


def test_what_a_dead_lab_left_is_cleared_away_unasked(up: Up, state: Path) -> None:
    lab = up(two_hosts())
    kill_keeper(lab.folder)
    assert lab.folder.exists()

    assert Lab.running() == []
    assert not lab.folder.exists()


def test_up_over_what_a_dead_lab_left(up: Up) -> None:
    kill_keeper(up(two_hosts()).folder)

    assert up(two_hosts()).run(A, [*PING, B]).returncode == 0


def test_down_and_up_again_right_after_a_kill(up: Up) -> None:
    lab = up(two_hosts())
    os.kill(keeper(lab.folder), signal.SIGKILL)  # its parent holds the folder a moment longer

    client.down(lab.name)
    assert not lab.folder.exists()

    os.kill(keeper(up(two_hosts()).folder), signal.SIGKILL)
    assert up(two_hosts()).run(A, [*PING, B]).returncode == 0


def test_a_frozen_keeper_is_taken_down_too(up: Up) -> None:
    lab = up(two_hosts(lasting(A)))
    traces = traces_of(lab.folder)
    os.kill(keeper(lab.folder), signal.SIGSTOP)

    lab.down()

    assert traces.left() == {}


def test_a_state_folder_with_a_path_longer_than_a_socket_address(
    up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUNCHLAB_STATE", str(tmp_path / ("long" * 30)))

    lab = up(two_hosts(lasting(A)))

    assert lab.run(A, [*PING, B]).returncode == 0
    assert lab.status()["hosts"][1]["daemon"]["state"] == "ready"


# --- running things inside


def test_exec_keeps_quoting_stdin_and_exit_status(up: Up) -> None:
    lab = up(two_hosts())

    done = lab.run(
        A, ["sh", "-c", 'printf "%s|" "$@"; cat; exit 7', "sh", "a b", "$c", ""], input="in"
    )

    assert (done.stdout, done.returncode) == ("a b|$c||in", 7)


def test_exec_returns_the_shells_status_for_a_signal(up: Up) -> None:
    lab = up(two_hosts())

    assert lab.exec(A, ["sh", "-c", "exit 3"]) == 3
    assert lab.exec(A, ["sh", "-c", "kill -TERM $$"]) == 128 + signal.SIGTERM
    assert lab.exec(A, ["sh", "-c", "kill -KILL $$"]) == 128 + signal.SIGKILL


def test_a_command_that_is_not_there_is_127_with_a_line(up: Up) -> None:
    done = up(two_hosts()).run(A, ["no-such-program"])

    assert (done.returncode, done.stderr) == (127, "punchlab: no-such-program: no such command\n")


def test_a_signal_reaches_the_command(up: Up) -> None:
    lab = up(two_hosts())
    script = "trap 'echo heard; exit 5' TERM; echo set; while :; do sleep 0.01; done"
    process = lab.popen(A, ["sh", "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "set\n"

    process.terminate()

    assert process.communicate(timeout=60)[0] == "heard\n"
    assert process.returncode == 5


def test_a_command_is_killed_with_what_started_it(up: Up) -> None:
    lab = up(two_hosts())
    process = lab.popen(A, ["sh", "-c", "echo here; exec sleep 1000"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"here\n"

    process.kill()

    assert process.stdout.read() == b""  # nobody holds the other end any more
    process.wait()


def test_a_command_has_the_callers_terminal_and_folder(
    up: Up, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = up(two_hosts())
    monkeypatch.chdir(tmp_path)
    ours, theirs = os.openpty()
    with open(theirs, "wb") as terminal:
        process = lab.popen(A, ["sh", "-c", "test -t 0 && pwd"], stdin=terminal, stdout=terminal)

    assert process.wait() == 0
    assert os.read(ours, 4096).decode().strip() == str(tmp_path)
    os.close(ours)


def test_inside_are_only_the_labs_own_things(up: Up) -> None:
    lab = up(two_hosts(lasting(B)))

    processes = lab.run(A, ["ps", "-A", "-o", "args="]).stdout.splitlines()
    links = lab.run(A, ["ls", "/sys/class/net"]).stdout.split()
    resolvers = lab.run(A, ["cat", "/etc/resolv.conf"]).stdout

    assert len(processes) == 3  # the keeper, the daemon, ps
    assert sum("sleep 1000" in each for each in processes) == 1  # by itself, or its shell yet
    assert links == ["eth0", "lo"]
    assert resolvers == ""


def test_hosts_have_names_for_ip_netns(up: Up) -> None:
    lab = up(two_hosts())
    argv = ["ip", "netns", "exec", B, "ip", "-br", "addr", "show", "eth0"]

    process = lab.popen(None, argv, stdout=subprocess.PIPE, text=True)

    assert B_ADDRESS in process.communicate()[0]


def test_a_host_that_is_not_there(up: Up) -> None:
    lab = up(two_hosts())

    with pytest.raises(
        BadRequest, match="there is no machine node-c in this lab\nit has: middle, "
    ):
        lab.run("node-c", ["true"])


def test_a_plain_host_is_pinged_by_the_systems_ping(up: Up) -> None:
    lab = up(two_hosts())

    assert lab.ping(A, B, count=1).returncode == 0
    with pytest.raises(
        BadRequest, match="node-a runs nothing that could say how it reaches node-b"
    ):
        lab.ping_argv(A, B, until_direct=True)


# --- cables


def test_an_unplugged_host_is_unreachable_and_keeps_its_routes(up: Up) -> None:
    lab = up(two_hosts())
    routes = lab.run(B, ["ip", "-o", "route"]).stdout

    assert lab.unplug(B) == ["node-b/eth0 to middle/node-b"]

    assert lab.run(A, [*PING, B]).returncode == 1
    assert lab.run(B, [*PING, MIDDLE]).returncode == 1
    assert lab.run(B, ["ip", "-o", "route"]).stdout.replace(" linkdown", "") == routes


def test_a_plugged_host_is_back_at_once(up: Up) -> None:
    lab = up(two_hosts())
    before = lab.run("middle", ["ip", "route"]).stdout

    lab.unplug(B)
    lab.plug(B)

    assert lab.run(A, [*PING, B]).returncode == 0
    assert lab.run("middle", ["ip", "route"]).stdout == before


def test_the_top_of_the_lab_has_no_cable(up: Up) -> None:
    with pytest.raises(BadRequest, match="middle has no cable to unplug"):
        up(two_hosts()).unplug("middle")


# --- events and paths


def test_a_daemons_lines_become_events_and_its_stderr_the_log(up: Up) -> None:
    lab = up(
        two_hosts(
            shell(A, 'echo oops >&2; echo \'{"event": "ready", "n": 1}\'; echo noise; sleep 1000')
        )
    )

    [ready] = [event for event in lab.events() if event["event"] == "ready"]
    assert (ready["host"], ready["n"]) == (A, 1)

    lab.daemon(A, "stop")  # all that it had said is read by then
    assert ("node-a", "oops") in list(lab.logs(A))


def test_waiting_for_a_path_ends_when_it_comes(up: Up) -> None:
    lab = up(two_hosts(_path_teller()))

    lab.wait_for_path(A, B, "direct", within=30)

    assert lab.path_history(A, B) == ["relay", "direct"]


def test_waiting_for_a_path_that_does_not_come_is_an_error(up: Up) -> None:
    lab = up(two_hosts(_path_teller()))
    lab.wait_for_path(A, B, "direct", within=30)

    with pytest.raises(NoPath) as error:
        lab.wait_for_path(A, B, "relay", within=0.1)
    assert str(error.value) == (
        "node-a has no relay path to node-b after 0.1 s; it is: direct\n"
        "lab.explain two node-a node-b says why"
    )


def test_waiting_for_a_path_of_no_kind_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match=r'drect is no kind of path\ndid you mean "direct"\?'):
        Lab("two", tmp_path).wait_for_path(A, B, "drect", within=30)


def test_following_the_events_ends_with_the_lab(up: Up) -> None:
    lab = up(two_hosts())
    events = lab.events(follow=True)
    seen = [next(events)["event"]]

    lab.unplug(A)
    lab.down()

    assert seen + [event["event"] for event in events] == ["up", "link", "down"]


def test_a_daemon_is_stopped_and_started_again(up: Up) -> None:
    lab = up(two_hosts(lasting(A)))

    lab.daemon(A, "stop")
    assert _daemon(lab)["state"] == "exited"
    lab.daemon(A, "start")
    assert (_daemon(lab)["state"], _daemon(lab)["restarts"]) == ("ready", 1)
    lab.daemon(A, "restart")
    assert (_daemon(lab)["state"], _daemon(lab)["restarts"]) == ("ready", 2)
    lab.daemon(A, "freeze")
    assert _daemon(lab)["state"] == "frozen"
    lab.daemon(A, "thaw")
    assert _daemon(lab)["state"] == "ready"


def test_a_daemon_that_dies_later_is_an_event_and_stays_dead(up: Up) -> None:
    lab = up(two_hosts(lasting(A)))

    lab.daemon(A, "kill")

    assert _daemon(lab) == {"name": "command", "state": "exited", "pid": None, "restarts": 0}
    [*_, last] = [event for event in lab.events() if event["event"] == "daemon"]
    assert (last["host"], last["state"], last["status"]) == (A, "exited", -signal.SIGKILL)


def test_a_daemon_that_closes_its_stdout_goes_on(up: Up) -> None:
    lab = up(two_hosts(shell(A, "echo ready; exec sleep 1000 >/dev/null")))

    used = _processor_time(lab)
    assert lab.run(A, ["ping", "-c4", "-i0.1", B]).returncode == 0  # takes a while
    assert _processor_time(lab) - used < 0.1
    assert _daemon(lab)["state"] == "ready"


def test_a_host_without_a_daemon_cannot_be_told_anything(up: Up) -> None:
    lab = up(two_hosts())

    with pytest.raises(BadRequest, match="node-a runs no daemon"):
        lab.daemon(A, "stop")
    with pytest.raises(BadRequest, match="a daemon cannot be told to dance"):
        lab.daemon(A, "dance")


def test_a_keeper_that_is_gone_is_one_clear_error(up: Up) -> None:
    lab = up(two_hosts())
    kill_keeper(lab.folder)

    with pytest.raises(LabError, match="the keeper of two is gone"):
        lab.status()


def _path_teller() -> DaemonPlan:
    event = '{"event": "path", "peer": "node-b", "kind": "%s", "via": "x"}'
    script = f"echo ready; echo '{event % 'relay'}'; echo '{event % 'direct'}'; exec sleep 1000"
    return shell(A, script, overlay=["100.64.0.1"])


def _daemon(lab: Lab) -> Any:
    return next(host["daemon"] for host in lab.status()["hosts"] if host["name"] == A)


def _processor_time(lab: Lab) -> float:
    fields = Path(f"/proc/{keeper(lab.folder)}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
