"""Anybody's program as a daemon: seen as far as it shows itself, and none of its faults is the lab's."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.client import Lab
from lab.errors import BadRequest, BuildFailed, LabError
from lab.model.plan import DaemonPlan
from lab.model.topology import load
from tests.lab.conftest import Up
from tests.lab.plans import PING, A, B, lasting, shell, two_hosts
from tests.lab.traces import traces_of

MB = 1 << 20
STAYS = "exec sleep 1000"
CLASSES = "tests.lab.daemons_of_others"


def test_words_on_either_output_say_that_it_is_ready(up: Up) -> None:
    lab = up(
        two_hosts(
            shell(A, f"echo now listening; {STAYS}", ready="listening"),
            shell(B, f"echo now listening >&2; {STAYS}", ready="listening"),
        )
    )

    assert list(lab.logs()) == [(A, "now listening"), (B, "now listening")]


def test_what_it_tells_as_json_are_events_and_paths_among_them(up: Up) -> None:
    tells = f'echo \'{{"event": "path", "peer": "{B}", "kind": "direct", "via": "10.0.2.2:9"}}\''
    lab = up(two_hosts(shell(A, f"echo words; {tells}; echo ready; {STAYS}"), lasting(B)))

    assert lab.path(A, B) == "direct"
    lab.wait_for_path(A, B, "direct", within=1)
    lab.daemon(A, "stop")
    assert lab.path_history(A, B) == ["direct", "none"]  # a daemon that ended has no path


def test_a_path_of_no_kind_is_malformed_and_does_no_harm(up: Up) -> None:
    lab = up(
        two_hosts(shell(A, f'echo \'{{"event": "path", "peer": "{B}"}}\'; {STAYS}', ready=None))
    )

    told = lab.wait_for_event({"host": A, "event": "malformed"}, within=30)

    assert told["told"] == {"event": "path", "peer": B}
    lab.daemon(A, "kill")
    assert lab.path(A, B) == "none"


def test_a_restart_waits_until_it_is_ready_again(up: Up) -> None:
    lab = up(two_hosts(shell(A, f"echo started >&2; sleep 0.2; echo ready; {STAYS}")))

    lab.daemon(A, "restart")

    assert [line for host, line in lab.logs()] == ["started", "ready"] * 2
    [status] = [host["daemon"] for host in lab.status()["hosts"] if host["name"] == A]
    assert (status["state"], status["restarts"]) == ("ready", 1)


def test_one_that_exits_is_told_and_the_others_go_on(up: Up) -> None:
    lab = up(two_hosts(shell(A, "echo ready; sleep 0.2; exit 7"), lasting(B)))

    told = lab.wait_for_event({"host": A, "event": "daemon", "state": "exited"}, within=30)

    assert told["status"] == 7
    assert lab.run(A, [*PING, B]).returncode == 0


def test_one_that_never_gets_ready_fails_the_lab_with_its_last_words(state: Path) -> None:
    with pytest.raises(BuildFailed) as failure:
        Lab.up(two_hosts(lasting(A), shell(B, f"echo waiting for a licence >&2; {STAYS}")))

    assert str(failure.value) == (
        "not ready after 20 s: the command of node-b\nwaiting for a licence"
    )
    assert list(state.iterdir()) == []


def test_one_that_ignores_sigterm_is_told_and_killed(up: Up) -> None:
    deaf = "trap '' TERM; echo ready; while :; do sleep 1000; done"
    lab = up(two_hosts(shell(A, deaf), shell(B, deaf)))
    traces = traces_of(lab.folder)

    with pytest.raises(LabError) as failure:
        lab.daemon(A, "stop")
    assert str(failure.value) == (
        "the daemon of node-a goes on 5 s after SIGTERM\nlab.daemon two node-a --kill ends it"
    )
    lab.daemon(A, "kill")
    told = lab.wait_for_event({"host": A, "event": "daemon", "state": "exited"}, within=30)
    assert told["status"] == -signal.SIGKILL

    lab.down()  # node-b's is as deaf
    assert traces.left() == {}


@pytest.mark.parametrize("output", ["", ">&2"])
def test_a_flood_of_words_stays_small_on_disk_and_hinders_nobody(up: Up, output: str) -> None:
    flood = f"yes a whole flood of words | head -n 1000000 {output}"
    script = f"echo first {output}; {flood}; echo last >&2; {STAYS}"
    lab = up(two_hosts(shell(A, script, ready="first"), lasting(B)))

    assert lab.run(B, [*PING, A]).returncode == 0
    with flooded(lab, A, b"last\n") as log:
        assert log.startswith(b"first\na whole flood of words\n")
        assert b" MB of this log are left out ..." in log
        assert len(log) < 9 * MB


def test_a_line_without_an_end_is_cut(up: Up) -> None:
    script = f"head -c {20 * MB} /dev/zero | tr '\\0' x; echo; echo last >&2; {STAYS}"
    lab = up(two_hosts(shell(A, script, ready=None)))

    with flooded(lab, A, b"last\n") as log:
        assert max(map(len, log.split(b"\n"))) <= 2 * MB


def test_a_flood_of_events_ends_in_one_that_says_so(up: Up) -> None:
    script = f'yes \'{{"event": "flood"}}\' | head -n 150000; echo \'{{"event": "done"}}\'; {STAYS}'
    lab = up(two_hosts(shell(A, script.replace('"flood"', '"drop"'), ready=None)))

    lab.wait_for_event({"host": A, "event": "flood"}, within=300)
    lab.daemon(A, "stop")

    told = [event["event"] for event in lab.events()]
    assert told.count("drop") == 100_000
    assert told.count("flood") == 1


def test_a_class_of_somebody_else_is_a_daemon_like_ours(up: Up) -> None:
    lab = up(two_hosts(DaemonPlan(A, f"{CLASSES}:Greeter", {})))

    [greeted] = [event for event in lab.events() if event["event"] == "greeted"]
    assert (greeted["host"], greeted["whom"]) == (A, "bob")
    assert list(lab.logs(A)) == [(A, "started")]


@pytest.mark.parametrize(
    ("runs", "kind", "told"),
    [
        ("no.such.module:Agent", BadRequest, 'runs = "no.such.module:Agent": ModuleNotFoundError'),
        (f"{CLASSES}:Nobody", BadRequest, "has no attribute 'Nobody'"),
        (f"{CLASSES}:NoDaemon", BadRequest, "not a subclass of lab.world.daemons.contract.Daemon"),
        (f"{CLASSES}:Forgetful", BuildFailed, "is wrong: KeyError: 'program'"),
        (f"{CLASSES}:Hasty", BuildFailed, "is wrong: ValueError: too many values to unpack"),
    ],
)
def test_an_impossible_class_is_told_in_a_line_or_two(
    state: Path, runs: str, kind: type[LabError], told: str
) -> None:
    with pytest.raises(kind) as failure:
        Lab.up(two_hosts(DaemonPlan(A, runs, {})))

    assert told in str(failure.value)
    assert len(str(failure.value).splitlines()) <= 2
    assert list(state.iterdir()) == []


def test_an_argv_that_asks_for_what_is_not_there_is_told(state: Path) -> None:
    with pytest.raises(
        BadRequest, match=r"node-a: argv asks for \{\{ adress \}\}\nknown: host, addr"
    ):
        Lab.up(two_hosts(DaemonPlan(A, "command", {"argv": ["ping", "{{ adress }}"]})))

    assert list(state.iterdir()) == []


def test_a_topology_says_where_a_program_is_and_how_it_is_ready(
    state: Path, tmp_path: Path
) -> None:
    (tmp_path / "agent.py").write_text("import time; print('at', flush=True); time.sleep(1000)")
    (tmp_path / "mine.toml").write_text(
        "[host.alice]\nruns = 'command'\nready = 'at'\n"
        "argv = ['{{ python }}', '{{ here }}/agent.py', '{{ address }}']\n"
    )

    lab = Lab.up(load(str(tmp_path / "mine.toml")))
    try:
        assert list(lab.logs()) == [("alice", "at")]
    finally:
        lab.down()


@contextlib.contextmanager
def flooded(lab: Lab, host: str, last: bytes) -> Iterator[bytes]:
    """The log, once its last line is there."""
    wait = [
        "sh",
        "-c",
        f"until tail -n1 {lab.folder}/logs/{host}.log | grep -qx last; do sleep 0.1; done",
    ]
    assert lab.run(B, wait, timeout=300).returncode == 0
    yield (lab.folder / "logs" / f"{host}.log").read_bytes()
