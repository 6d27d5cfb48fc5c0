"""Campaigns: every result comes, once, whatever happens to tasks and workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab.errors import BadRequest, CannotHere, LabError
from lab.judge import crew
from lab.judge.attend import MARK, STATE, Task, attend, end_all
from lab.judge.campaign import TRIES, Campaign, Result
from tests.lab.cluster import ROOT, StartWorker, wait_for_workers, wait_until
from tests.lab.traces import Traces, left_of, machine_links

DEADLINE = 30.0
CLEARED = 60.0  # seconds for a process that clears up after others to start, and to do it


def task(number: int, do: str = "answer", **words: Any) -> Task:
    request = {"number": number, "do": do, **words}
    return Task(f"task {number}", "tests.lab.campaign_task", request)


@dataclass
class Told:
    lines: list[str] = field(default_factory=list)

    def about(self, words: str) -> int:
        return sum(words in line for line in self.lines)


def run(
    ours: crew.Crew, tasks: Sequence[Task], deadline: float = DEADLINE
) -> tuple[list[Result], Told]:
    told = Told()
    return list(Campaign(ours, deadline, told.lines.append).run(tasks)), told


def answers(results: Sequence[Result]) -> list[Any]:
    done = [result.attempt.answer for result in results if result.attempt.outcome == "done"]
    return sorted(done)


# --- here


def test_every_task_has_its_answer() -> None:
    with crew.local(2) as ours:
        results, told = run(ours, [task(n) for n in range(4)])

    assert answers(results) == [0, 1, 2, 3]
    assert [result.tries for result in results] == [1, 1, 1, 1]
    assert told.lines == []


def test_results_come_before_the_last_task_is_done(tmp_path: Path) -> None:
    slow = task(0, "hang", note=str(tmp_path / "lab"))
    with crew.local(2) as ours:
        first = next(Campaign(ours, DEADLINE, print).run([slow, task(1)]))

    assert (first.task.name, first.attempt.answer) == ("task 1", 1)


def test_a_lab_that_is_just_coming_up_is_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with crew.local(1) as ours:
        ours.executor.submit(attend, task(0, "never get ready"), DEADLINE)
        wait_until(lambda: any(tmp_path.glob("punchlab-task-*/of-a-task")))
        [folder] = tmp_path.glob("punchlab-task-*/of-a-task")

    assert list(tmp_path.glob("punchlab-task-*")) == []
    assert Traces(folder, "", machine_links()).processes() == []


def test_a_process_that_dies_is_tried_again(tmp_path: Path) -> None:
    with crew.local(2) as ours:
        results, told = run(ours, [task(0, "die once", mark=str(tmp_path / "mark")), task(1)])

    assert answers(results) == [0, 1]
    assert sorted(result.tries for result in results) == [1, 2]
    assert told.about("task 0 was killed by signal 9; it is tried again") == 1


def test_one_that_always_dies_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    note = tmp_path / "lab"
    with crew.local(1) as ours:
        results, _ = run(ours, [task(0, "die", note=str(note)), task(1, "not be readable")])

    assert [result.attempt.outcome for result in results] == ["died", "died"]
    assert [result.tries for result in results] == [TRIES, TRIES]
    assert left_of(note) == {}


def test_a_task_that_hangs_is_cut_off_and_leaves_nothing(tmp_path: Path) -> None:
    note = tmp_path / "lab"
    with crew.local(2) as ours:
        hanging = task(0, "hang", note=str(note))
        results, told = run(ours, [hanging, task(1)], deadline=12.0)

    by_name = {result.task.name: result.attempt for result in results}
    assert by_name["task 0"].outcome == "hung"
    assert by_name["task 1"].answer == 1
    assert told.lines == ["task 0 cut off after 12 s"]
    assert left_of(note) == {}


def test_a_machine_that_cannot_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WITHOUT_RIGHTS", "1")

    with crew.local(2) as ours, pytest.raises(CannotHere, match=r"^this machine is too small$"):
        run(ours, [task(n, "need rights") for n in range(4)])


def test_whoever_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    note = tmp_path / "lab"
    with ThreadPoolExecutor(1) as thread:
        attempt = thread.submit(attend, task(0, "hang", note=str(note)), DEADLINE)
        wait_for(note)
        end_all()

        assert attempt.result().outcome == "died"
    assert left_of(note) == {}


def test_a_task_whose_attendant_is_killed_leaves_nothing(tmp_path: Path) -> None:
    note = tmp_path / "lab"
    words = f"task(0, 'hang', note={str(note)!r}), {DEADLINE}"
    script = f"from tests.lab.test_campaign import attend, task; attend({words})"
    attendant = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    wait_for(note)

    attendant.kill()
    attendant.wait()

    assert left_of(note, within=CLEARED) == {}


def test_a_task_that_ends_just_after_its_attendant_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "of-the-task"
    folder.mkdir()
    own = {STATE: str(folder), MARK: str(folder), "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-m", "tests.lab.campaign_task", json.dumps(task(0).request)]
    reading, writing = os.pipe()
    os.close(writing)

    subprocess.run(argv, stdin=reading, env=os.environ | own, start_new_session=True, check=False)

    os.close(reading)
    wait_until(lambda: not folder.exists())


def test_no_workers_are_too_few() -> None:
    with pytest.raises(BadRequest, match="at least one"), crew.local(-1):
        pass


# --- on a Dask cluster


def test_two_workers_of_a_cluster_share_the_tasks(two_workers: str) -> None:
    with crew.cluster(two_workers) as ours:
        results, told = run(ours, [task(n) for n in range(6)])

    assert answers(results) == [0, 1, 2, 3, 4, 5]
    assert len({result.attempt.worker for result in results}) == 2
    assert told.lines == []


def test_a_worker_that_dies_loses_no_result(two_workers: str, tmp_path: Path) -> None:
    note = tmp_path / "lab"
    fatal = task(0, "kill the worker once", mark=str(tmp_path / "mark"), note=str(note))

    with crew.cluster(two_workers) as ours:
        results, told = run(ours, [fatal, *(task(n) for n in range(1, 6))])

    assert answers(results) == [0, 1, 2, 3, 4, 5]
    assert told.about("is gone; what it had is tried elsewhere") == 1
    assert left_of(note, within=CLEARED) == {}


def test_a_worker_without_rights_gets_no_more(scheduler: str, start_worker: StartWorker) -> None:
    start_worker("able")
    start_worker("unable", WITHOUT_RIGHTS="1")
    wait_for_workers(scheduler, 2)

    with crew.cluster(scheduler) as ours:
        results, told = run(ours, [task(n, "need rights") for n in range(6)])

    assert answers(results) == [0, 1, 2, 3, 4, 5]
    assert len({result.attempt.worker for result in results}) == 1
    assert told.about("gets no more: this machine is too small") == len(told.lines) == 1


def test_a_cluster_without_rights_says_so_once(scheduler: str, start_worker: StartWorker) -> None:
    start_worker("unable", WITHOUT_RIGHTS="1")
    wait_for_workers(scheduler, 1)

    with crew.cluster(scheduler) as ours, pytest.raises(CannotHere, match="too small"):
        run(ours, [task(n, "need rights") for n in range(3)])


def test_the_last_worker_to_die_ends_the_campaign(
    scheduler: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    start_worker("only")
    wait_for_workers(scheduler, 1)
    fatal = task(0, "kill the worker once", mark=str(tmp_path / "m"), note=str(tmp_path / "lab"))

    with crew.cluster(scheduler) as ours, pytest.raises(LabError, match="no worker left"):
        run(ours, [fatal])


def test_a_scheduler_without_workers_says_so(scheduler: str) -> None:
    with pytest.raises(LabError, match="has no workers"), crew.cluster(scheduler):
        pass


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x", "127.0.0.1"])
def test_a_scheduler_that_is_not_there(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="distributed is not installed")
    monkeypatch.setattr(crew, "CONNECT_PATIENCE", 1.0)

    with pytest.raises(BadRequest, match="no Dask scheduler answers at"), crew.cluster(address):
        pass


def test_without_its_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(CannotHere) as told, crew.cluster("tcp://127.0.0.1:9"):
        pass
    assert "needs the package distributed" in str(told.value)
    assert "`./punchlab lab.matrix --scheduler ...` brings it" in str(told.value)


# --- helpers


def wait_for(file: Path) -> None:
    wait_until(file.exists)
