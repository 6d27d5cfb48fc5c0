"""The scenarios as a campaign: each number is a task of its own, for processes here or a Dask cluster.

    python -m tests.e2e.campaign 38 39 --workers 2
    python -m tests.e2e.campaign --scheduler tcp://10.0.0.5:8786

Without numbers, all that have tests. Lines come as the numbers end, on stderr beside the progress; the
summary is on stdout. A test that fails is not tried again: a flake is a failure. Each worker runs the
tests of its own checkout, which is to be the same as ours.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO
from xml.etree import ElementTree as Xml

from lab.errors import BadRequest, LabError
from lab.judge import crew
from lab.judge.attend import Task
from lab.judge.campaign import Campaign
from lab.judge.crew import Crew
from lab.view.progress import Progress
from tests.e2e import catalogue

DEADLINE = 600.0  # seconds for a number: all of them together have not many more
WORDS = {"hung": "cut off", "died": "lost"}
INTERRUPTED = 130  # as a shell tells it


@dataclass(frozen=True, slots=True)
class Ended:
    """What came of one number."""

    name: str
    outcome: str  # ok, skipped, failed, cut off or lost
    seconds: float
    tests: int
    words: str  # the last lines of pytest, or what was wrong
    suite: str  # JUnit, if pytest came so far
    worker: str

    @property
    def is_fine(self) -> bool:
        return self.outcome in ("ok", "skipped")

    def told(self) -> str:
        """Why it was cut off or lost, the campaign has told when it was."""
        tests = f"{self.tests} test{'s' * (self.tests != 1)}, " if self.suite else ""
        line = f"{self.name}: {self.outcome}, {tests}{self.seconds:.1f} s"
        words = self.words.splitlines() if self.outcome == "failed" else []
        return "\n    ".join([line, *words])


def tasks_of(numbers: Sequence[str]) -> list[Task]:
    words = numbers or [str(number) for number in sorted(catalogue.marked())]
    return [_task(word, catalogue.arguments(word)) for word in dict.fromkeys(words)]


def _task(number: str, arguments: list[str]) -> Task:
    name = f"{number} {catalogue.titles()[int(number)]}"
    return Task(name, "tests.e2e.one_number", {"arguments": arguments})


def run(
    tasks: Sequence[Task], ours: Crew, deadline: float, tell: Callable[[str], None]
) -> Iterator[Ended]:
    """As they end."""
    for result in Campaign(ours, deadline, tell).run(tasks):
        name, attempt = result.task.name, result.attempt
        if attempt.outcome == "done":
            found = attempt.answer
        else:
            outcome = WORDS[attempt.outcome]
            found = {"outcome": outcome, "tests": 0, "words": attempt.answer, "suite": ""}
        yield Ended(name, seconds=attempt.seconds, worker=attempt.worker, **found)


def summary(ended: Sequence[Ended], seconds: float) -> str:
    counts = Counter(each.outcome for each in ended)
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    lines = [f"{each.outcome}: {each.name}" for each in ended if not each.is_fine]
    many = f"{len(ended)} scenario{'s' * (len(ended) != 1)}"
    return "\n".join([*lines, f"{many} in {seconds:.0f} s: {told}"])


def junit(ended: Sequence[Ended]) -> str:
    """A suite a number, as pytest wrote it; of one that pytest did not end, a case with the error."""
    suites = Xml.Element("testsuites")
    for each in ended:
        suite = Xml.fromstring(each.suite) if each.suite else _without_end(each)
        suite.set("name", each.name)
        suites.append(suite)
    return Xml.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _without_end(each: Ended) -> Xml.Element:
    suite = Xml.Element("testsuite", tests="1", errors="1", time=f"{each.seconds:.3f}")
    case = Xml.SubElement(suite, "testcase", classname="scenario", name=each.name)
    Xml.SubElement(case, "error", message=each.outcome).text = each.words
    return suite


# --- the command


def main(argv: Sequence[str] | None = None) -> int:
    args = _arguments(argv)
    try:
        if args.deadline <= 0:
            raise BadRequest(f"--deadline {args.deadline:g}: it takes some seconds")
        tasks = tasks_of(args.numbers)
        with _file(args.junit) as out, crew.chosen(args.workers, args.scheduler) as ours:
            return run_and_tell(tasks, ours, args.deadline, out)
    except catalogue.NoScenario as error:
        print(error, file=sys.stderr)
        return BadRequest.exit_status
    except LabError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED


def run_and_tell(tasks: Sequence[Task], ours: Crew, deadline: float, out: TextIO | None) -> int:
    """What has ended is told even if the rest never does."""
    started = time.monotonic()
    progress = Progress(len(tasks), "scenarios")
    ended: list[Ended] = []
    try:
        for each in run(tasks, ours, deadline, progress.say):
            ended.append(each)
            progress.say(each.told())
            progress.step()
    finally:
        progress.end()
        if ended:
            print(summary(ended, time.monotonic() - started))
        if out:
            out.write(junit(ended))
    return 0 if all(each.is_fine for each in ended) else LabError.exit_status


def _file(name: str) -> contextlib.AbstractContextManager[TextIO | None]:
    """Opened before there is anything to write: a campaign takes minutes."""
    if not name:
        return contextlib.nullcontext()
    try:
        return Path(name).open("w")
    except OSError as error:
        raise BadRequest(f"--junit {name}: {error.strerror}") from None


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.campaign")
    parser.add_argument("numbers", nargs="*", help="of scenarios; all that have tests if left out")
    parser.add_argument("--workers", type=int, default=0, help="numbers side by side; one a core")
    parser.add_argument("--scheduler", default="", help="a Dask scheduler whose workers run them")
    parser.add_argument("--deadline", type=float, default=DEADLINE, help="seconds for a number")
    parser.add_argument("--junit", default="", help="a file: what passed, as CI servers read it")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
