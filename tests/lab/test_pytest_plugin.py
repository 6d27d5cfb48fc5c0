"""The pytest plugin as another project meets it: a folder with a test, and pytest run in it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from lab.client import Lab
from tests.fetched import fetched
from tests.lab.traces import keeper, traces_of, wait_for_end

ROOT = Path(__file__).parent.parent.parent
Run = Callable[..., subprocess.CompletedProcess[str]]
PATIENCE = 300  # seconds for a run of pytest, on a busy machine
WITHOUT_TUN = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /dev/net; exec "$@"', "sh")
HEAD = "import pytest\nfrom lab.pytest_plugin import NoReply\n"
FAILS = "def test_it(lab):\n    net = lab('small.toml')\n    assert net.events() == []\n"
SAYS_A_PATH = (
    *("sh", "-c"),
    """echo '{"event": "path", "peer": "bob", "kind": "direct", "via": "192.0.2.1:5000"}'; exec sleep 99""",
)
FAILS_TWICE = """
@pytest.fixture(scope="module")
def net(module_lab):
    return module_lab("small.toml")

@pytest.mark.parametrize("words", ["the first test's", "the second test's"])
def test_it(net, module_lab, words):
    net.run("alice", "ping", "-c1", "-p", words.encode()[:16].hex(), "bob")
    assert False
"""
SMALL = '''\
# alice -- home -- internet -- bob
[router.home]
nat = "symmetric"
[host.alice]
on = "home"
runs = "command"
ready = "greeted"
argv = ["sh", "-c", """
echo hello >&2
echo '{\\"event\\": \\"greeted\\", \\"whom\\": \\"bob\\"}'
exec sleep 1000
"""]
[host.bob]
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path


@pytest.fixture
def run(project: Path) -> Run:
    def run_pytest(
        text: str, *words: str, become: tuple[str, ...] = (), ci: str = ""
    ) -> subprocess.CompletedProcess[str]:
        (project / "test_it.py").write_text(HEAD + text)
        return subprocess.run(
            [*become, *pytest_argv(*words)],
            cwd=project,
            env=environment(project, ci),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run_pytest


def test_a_lab_is_started_from_a_file_beside_the_test_asked_and_taken_down(
    run: Run, project: Path
) -> None:
    done = run(
        "def test_it(lab):\n"
        "    net = lab('small.toml', nat={'home': 'open'}, add='[host.carol]\\n')\n"
        "    assert net.run('alice', 'ping', '-c1', 'carol').returncode == 0\n"
        "    told = net.wait_for_event('alice', 'greeted', whom='bob', within=5)\n"
        "    assert told in net.events('alice', 'greeted')\n"
    )

    assert done.returncode == 0, done.stdout
    assert list((project / "labs").iterdir()) == []


def test_a_run_that_is_killed_takes_its_labs_along(project: Path) -> None:
    (project / "test_it.py").write_text(
        f"{HEAD}import signal\n"
        "def test_it(lab):\n"
        "    print(lab('small.toml').lab.folder, flush=True)\n"
        "    signal.pause()\n"
    )
    argv = [*pytest_argv("-s"), "-q"]
    with subprocess.Popen(
        argv, cwd=project, env=environment(project), stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        folder = Path(next(line.strip() for line in run.stdout if "/labs/test-" in line))
        traces, ends = traces_of(folder), os.pidfd_open(keeper(folder))

        run.kill()

        assert select.select([ends], [], [], PATIENCE)[0]
        os.close(ends)
        wait_for_end(folder)
    assert traces.left() == {}


def test_an_event_that_does_not_come_is_told(run: Run) -> None:
    done = run(
        "def test_it(lab):\n"
        "    lab('small.toml').wait_for_event('alice', 'greeted', whom='carol', within=0.1)\n"
    )

    assert done.returncode == 1
    assert "NoEvent: test-main-" in done.stdout
    assert '"whom": "carol"} within 0.1 s' in done.stdout


def test_a_failure_shows_what_the_lab_saw_and_keeps_it(run: Run, project: Path) -> None:
    done = run(FAILS, "--lab-evidence", "kept")

    assert done.returncode == 1
    assert "alice -- home -- internet -- bob" in done.stdout
    assert "rules of home.iptables" in done.stdout
    [kept] = (project / "kept" / "test_it.py-test_it").iterdir()
    assert f"kept in {kept.parent}" in done.stdout
    assert "MASQUERADE" in (kept / "rules" / "home.iptables").read_text()
    assert '"greeted"' in (kept / "events.jsonl").read_text()
    assert (kept / "logs" / "alice.log").read_text() == "hello\n"
    assert '"up_seconds"' in (kept / "status.json").read_text()
    assert "alice -- home -- internet -- bob" in (kept / "drawing.txt").read_text()
    plan = json.loads((kept / "plan.json").read_text())
    assert {each["name"] for each in plan["machines"]} == {"alice", "home", "internet", "bob"}
    topology = json.loads((kept / "topology.json").read_text())
    assert topology["text"] == (project / "small.toml").read_text()
    assert list((project / "labs").iterdir()) == []  # the lab itself is not kept


def test_a_test_that_passes_keeps_nothing(run: Run, project: Path) -> None:
    done = run("def test_it(lab):\n    lab('small.toml')\n", "--lab-evidence", "kept")

    assert (done.returncode, (project / "kept").exists()) == (0, False)


def test_a_failure_keeps_its_packets_if_they_were_captured(run: Run, project: Path) -> None:
    done = run(FAILS_TWICE, "--lab-capture", "--lab-evidence", "kept")

    assert "2 failed" in done.stdout
    first, second = sorted((project / "kept").glob("*/*/packets.pcapng"))
    assert b"the first test's"[:16] in first.read_bytes()
    assert b'"event": "greeted"' in first.read_bytes()  # it began before the daemons
    assert b"the second test's"[:16] in second.read_bytes()
    assert b"the first test's"[:16] not in second.read_bytes()


def test_a_test_that_passes_keeps_no_packets_and_leaves_no_process(run: Run, project: Path) -> None:
    text = "def test_it(lab):\n    assert lab('small.toml').run('bob', 'ping', '-c1', 'alice')\n"
    done = run(text, "--lab-capture", "--lab-evidence", "kept", "--basetemp", "temporary")

    assert (done.returncode, (project / "kept").exists()) == (0, False)
    assert list((project / "temporary").rglob("*.pcapng")) == []
    assert processes_about(project) == []


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_a_lab_that_is_kept_waits_until_somebody_takes_it_down(
    project: Path, monkeypatch: pytest.MonkeyPatch, workers: list[str]
) -> None:
    (project / "test_it.py").write_text(HEAD + FAILS)
    monkeypatch.setenv("PUNCHLAB_STATE", str(project / "labs"))
    with subprocess.Popen(
        pytest_argv("--lab-keep", *workers),
        cwd=project,
        env=environment(project),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as running:
        to_go_on = last_line(running, "To go on: ")
        [name] = Lab.running()
        assert to_go_on.endswith(f"punchlab lab.down {name}\n")
        assert Lab.attach(name).run("bob", ["true"]).returncode == 0

        Lab.attach(name).down()

        assert running.wait(PATIENCE) == 1


def test_on_a_terminal_a_lab_that_is_kept_is_a_shell(project: Path) -> None:
    (project / "test_it.py").write_text(HEAD + FAILS)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        pytest_argv("--lab-keep"),
        cwd=project,
        env=environment(project) | {"SHELL": "/bin/sh"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ) as running:
        os.close(theirs)
        with open(ours, "r+b", buffering=0) as terminal:
            said_until(terminal, b"`exit` goes on.")
            terminal.write(b"ls /run/netns; exit\n")
            assert b"alice" in said_until(terminal, b"1 failed")
        assert running.wait(PATIENCE) == 1
    assert list((project / "labs").iterdir()) == []


def test_tests_run_side_by_side(run: Run) -> None:
    text = (
        "@pytest.mark.parametrize('n', range(4))\n"
        "def test_it(lab, n):\n"
        "    assert lab('small.toml').run('alice', 'ping', '-c1', 'bob').returncode == 0\n"
    )

    done = run(text, "-n", "2")

    assert "4 passed" in done.stdout, done.stdout


def test_a_page_of_the_run_shows_what_the_labs_saw(run: Run, project: Path) -> None:
    text = (
        "def test_it(lab):\n"
        f"    says = {{'host.alice.argv': {[*SAYS_A_PATH]}, 'host.alice.ready': 'direct'}}\n"
        "    net = lab('small.toml', set=says)\n"
        "    net.wait_for_event('alice', 'path')\n"
        "    net.unplug('bob')\n"
        "def test_other():\n"
        "    assert 1 == 2\n"
    )

    done = run(text, "-n", "2", "--lab-report", "run.html")

    page = (project / "run.html").read_text()
    assert f"report: {project / 'run.html'}" in done.stdout
    assert "1 passed, 1 failed, 0 skipped" in page
    assert "bob was unplugged" in page
    assert "assert 1 == 2" in page
    assert '<svg class="upgrades"' in page
    assert re.search(r"<title>direct via 192\.0\.2\.1:5000 from \d+\.\d\d s", page)
    assert fetched(page) == []


def test_a_page_that_cannot_be_written_is_told_before_anything_runs(run: Run) -> None:
    done = run("def test_it(lab):\n    pass\n", "--lab-report", "no/such/run.html")

    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--lab-report no/such/run.html: there is no folder" in done.stderr


def test_the_tests_of_a_file_share_a_lab(run: Run) -> None:
    done = run(
        "@pytest.fixture(scope='module')\n"
        "def net(module_lab):\n"
        "    return module_lab('small.toml')\n"
        "def test_one(net):\n"
        "    net.unplug('bob')\n"
        "def test_two(net):\n"
        "    assert net.run('alice', 'ping', '-c1', '-W1', 'bob').returncode == 1\n"
    )

    assert "2 passed" in done.stdout, done.stdout


def test_tests_of_one_group_share_a_process(run: Run, project: Path) -> None:
    """As all those do here that share a lab: otherwise each process would bring up its own."""
    text = (
        "import os\n"
        "@pytest.mark.parametrize('n', range(6))\n"
        "@pytest.mark.xdist_group('one lab')\n"
        "def test_it(n): open(os.environ['PYTEST_XDIST_WORKER'], 'a').write('.')\n"
    )

    done = run(text, "-n", "2", "--dist", "loadgroup")

    assert "6 passed" in done.stdout, done.stdout
    assert [file.read_text() for file in project.glob("gw*")] == ["......"]


def test_a_scenario_is_run_by_its_number(run: Run) -> None:
    text = (
        "@pytest.mark.scenario(38)\n"
        "def test_one(): pass\n"
        "@pytest.mark.scenario(39, 40)\n"
        "def test_other(): pass\n"
        "def test_without_a_number(): pass\n"
    )

    for words, outcome in (
        (["--scenario", "38"], "1 passed, 2 deselected"),
        (["--scenario", "38", "--scenario", "40"], "2 passed, 1 deselected"),
        (["--scenario", "41"], "3 deselected"),
        ([], "3 passed"),
    ):
        assert outcome in run(text, *words).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to hide a device")
@pytest.mark.parametrize(
    ("words", "ci", "outcome"),
    [
        ([], "", "1 passed, 3 skipped"),
        (["--lab-require"], "", "1 passed, 3 errors"),
        ([], "true", "1 passed, 3 errors"),
        (["--lab-require=no"], "true", "1 passed, 3 skipped"),
    ],
)
def test_where_no_lab_can_be_its_tests_are_skipped_with_the_reason(
    run: Run, words: list[str], ci: str, outcome: str
) -> None:
    text = (
        "def test_with_a_lab(lab): lab('small.toml')\n"
        "@pytest.mark.needs_lab\n"
        "def test_marked(): pass\n"
        "@pytest.mark.needs_lab('netem')\n"
        "def test_that_needs_more(): pass\n"
        "@pytest.mark.scenario(38)\n"
        "def test_without(): pass\n"
    )

    done = run(text, "-rs", "--strict-markers", *words, become=WITHOUT_TUN, ci=ci)

    assert outcome in done.stdout, done.stdout + done.stderr
    assert "this machine cannot run a lab: TUN device: " in done.stdout


def processes_about(folder: Path) -> list[bytes]:
    """Command lines of processes that have to do with it."""
    commands = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has just ended
            commands.append(file.read_bytes())
    return [each for each in commands if bytes(folder) in each]


def pytest_argv(*words: str) -> list[str]:
    # `python -P`: only what is told on the path, not what lies around.
    return [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", *words]


def environment(project: Path, ci: str = "") -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return own | {"PYTHONPATH": str(ROOT), "PUNCHLAB_STATE": str(project / "labs"), "CI": ci}


def last_line(process: subprocess.Popen[bytes], start: str) -> str:
    """The first line on its stderr that begins so."""
    assert process.stderr is not None
    seen = [""]
    while not seen[-1].startswith(start):
        assert select.select([process.stderr], [], [], PATIENCE)[0], seen
        seen.append(process.stderr.readline().decode())
        assert seen[-1], seen
    return seen[-1]


def said_until(terminal: BinaryIO, words: bytes) -> bytes:
    """What was written there, up to these words."""
    seen = b""
    while words not in seen:
        assert select.select([terminal], [], [], PATIENCE)[0], seen
        try:
            chunk = terminal.read(4096)
        except OSError:  # nobody is left at the other end
            chunk = b""
        assert chunk, seen
        seen += chunk
    return seen
