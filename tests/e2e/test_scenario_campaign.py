"""The scenarios as a campaign: each number in a process of its own, here or on a Dask cluster."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from invoke.exceptions import Exit

from lab.judge import crew
from lab.judge.attend import Task
from tasks import SIDE_BY_SIDE
from tasks import campaign as command_of
from tests.e2e import campaign, catalogue, one_number
from tests.lab.traces import left_of

DEADLINE = 120.0
CUT_OFF = 25.0  # enough for pytest and its lab to be there on a busy machine
CHEAP = ["31", "104"]

pytestmark = pytest.mark.needs_lab


def test_two_numbers_go_side_by_side(tmp_path: Path) -> None:
    file = tmp_path / "campaign.xml"
    done = invoke("--only", f"scenario:{','.join(CHEAP)}", "--workers", "2", "--junit", str(file))

    assert done.returncode == 0, done.stdout + done.stderr
    assert "\n104 two labs at once have nothing in common: ok, 1 test, " in done.stderr
    assert "2/2 scenarios" in done.stderr
    assert done.stdout.endswith(": 2 ok\n")
    suites = {suite.get("name"): suite.get("tests") for suite in Xml.parse(file).getroot()}
    assert suites == {campaign.tasks_of([number])[0].name: "1" for number in CHEAP}


def test_two_workers_of_a_cluster_share_the_numbers(two_workers: str) -> None:
    with crew.cluster(two_workers) as ours:
        ended = list(campaign.run(campaign.tasks_of(CHEAP), ours, DEADLINE, print))

    assert {each.outcome for each in ended} == {"ok"}, [each.told() for each in ended]
    assert [each.tests for each in ended] == [1, 1]
    assert len({each.worker for each in ended}) == 2


def test_a_number_that_fails_is_told_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [
        made_up(tmp_path, "1", "assert 'this' == 'that'"),
        made_up(tmp_path, "2", "pass"),
        made_up(tmp_path, "3", "os._exit(0)"),
    ]
    with crew.local(2) as ours, (tmp_path / "junit.xml").open("w") as out:
        status = campaign.run_and_tell(tasks, ours, DEADLINE, out)

    told = capsys.readouterr()
    assert status == 1
    assert told.out.startswith("failed: 1 made up\nfailed: 3 made up\n")
    assert told.out.endswith(" s: 2 failed, 1 ok\n")
    assert "AssertionError: assert 'this' == 'that'" in told.err
    cases = Xml.parse(tmp_path / "junit.xml").getroot()
    assert [len(list(cases.iter(word))) for word in ("failure", "error")] == [1, 1]


def test_a_number_that_hangs_is_cut_off_and_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    note = tmp_path / "lab"
    sleep = ["sleep", f"{DEADLINE:.0f}.{os.getpid()}"]  # nobody else's
    hanging = f"""
    os.environ["PUNCHLAB_STATE"] = str(tmp_path / "labs of its own")
    bring_up_a_lab({{"note": {str(note)!r}}})
    subprocess.Popen({sleep!r}, start_new_session=True)
    threading.Event().wait()"""
    with crew.local(1) as ours:
        status = campaign.run_and_tell([made_up(tmp_path, "1", hanging)], ours, CUT_OFF, None)

    told = capsys.readouterr()
    assert status == 1
    assert "\n1 made up: cut off, " in told.err
    assert told.err.count("1 made up cut off after 25 s: ") == 1
    assert "test_1.py::test_it" in told.err  # where it was then
    assert left_of(note) == {}
    assert running(sleep) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take /dev/net/tun away")
def test_a_machine_that_cannot_run_labs_says_so_once() -> None:
    without = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /dev/net && exec "$@"', "sh"]
    done = told_by([*without, sys.executable, "-m", "tests.e2e.campaign", "31"])

    assert (done.returncode, done.stdout) == (3, "")
    [line] = [line for line in done.stderr.splitlines() if "1 scenarios, " not in line]
    assert line.startswith("this machine cannot run a lab: TUN device")


@pytest.mark.parametrize(
    ("status", "suite", "outcome"),
    [
        (0, '<testsuite tests="2" skipped="1"/>', "ok"),
        (0, '<testsuite tests="2" skipped="2"/>', "skipped"),
        (1, '<testsuite tests="2" skipped="1"/>', "failed"),
        (0, '<testsuite tests="0"/>', "failed"),
    ],
)
def test_what_was_only_skipped_is_not_ok(status: int, suite: str, outcome: str) -> None:
    assert one_number.answer(status, "", Xml.fromstring(suite))["outcome"] == outcome


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["31", "36"], "there is no scenario '36': tests/e2e/README.md lists them"),
        (["31", "35"], "scenario 35 has no test: "),
        (["31", "--deadline", "0"], "--deadline 0: it takes some seconds"),
        (["31", "--junit", "/proc/nowhere/x"], "--junit /proc/nowhere/x: "),
        (["31", "--workers", "2", "--scheduler", "tcp://[::1]:9"], "one or the other"),
        (["31", "--scheduler", "nonsense://x"], "no Dask scheduler answers at nonsense://x"),
    ],
)
def test_bad_input_is_told_in_a_line_or_two(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = campaign.main(words)

    seen = capsys.readouterr()
    assert (status, seen.out) == (2, "")
    assert told in seen.err
    assert len(seen.err.splitlines()) <= 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["scenario", "--deadline", "soon"], "soon: expected a number"),
        (["scenario", "--keyword", "nat"], "--keyword, --report: a campaign"),
        (["node", "--scheduler", "tcp://127.0.0.1:9"], "--scheduler tcp://127.0.0.1:9: for --only"),
    ],
)
def test_words_that_do_not_go_together_are_told(words: list[str], told: str) -> None:
    done = invoke("--only", *words)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("workers", [0, SIDE_BY_SIDE])
def test_workers_beside_a_scheduler_are_noticed_whatever_their_number(workers: int) -> None:
    with pytest.raises(Exit, match="one or the other"):
        command_of("scenario", workers, "tcp://127.0.0.1:9", 600, "", "")


def test_a_scheduler_alone_is_handed_on() -> None:
    given = command_of("scenario", None, "tcp://127.0.0.1:9", 600, "", "")

    assert given[-2:] == ["--scheduler", "tcp://127.0.0.1:9"]


# --- helpers


def invoke(*words: str) -> subprocess.CompletedProcess[str]:
    return told_by([sys.executable, "-m", "invoke", "test", *words])


def told_by(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, cwd=catalogue.ROOT, capture_output=True, text=True, timeout=170, check=False
    )


def made_up(folder: Path, number: str, body: str) -> Task:
    """A scenario that is in no list, with one test."""
    file = folder / f"test_{number}.py"
    file.write_text(
        "import os, subprocess, threading\n"
        "import pytest\n"
        "from tests.lab.campaign_task import bring_up_a_lab\n\n"
        f"@pytest.mark.scenario({number})\n"
        f"def test_it(tmp_path):\n    {body.strip()}\n"
    )
    return Task(
        f"{number} made up",
        "tests.e2e.one_number",
        {"arguments": [str(file), "--scenario", number]},
    )


def running(argv: list[str]) -> list[str]:
    wanted = "\0".join([*argv, ""]).encode()
    return [each.name for each in Path("/proc").glob("[0-9]*") if command_line(each) == wanted]


def command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:  # it has just ended
        return b""
