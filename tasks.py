"""punchlab's commands. `invoke --list` is the table of contents, `invoke --help TASK` has an example.

`./punchlab` runs this file: the same tasks, and bad input ends with the status 2 in each case.

The lab's own commands live in `lab.commands`; here they are joined by the three that keep the project:
test, check, bench.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from invoke.collection import Collection
from invoke.exceptions import Exit
from invoke.tasks import task

from lab import commands, program
from lab.commands.command import Count, Number

ROOT = Path(__file__).parent
WINGS = ("node", "lab", "e2e", "interop", "web")
SIDE_BY_SIDE = 3 * (os.cpu_count() or 1)


@task(
    help={
        "only": "node, lab, e2e, interop or web: one wing of the tests; scenario:38: those of one number;"
        " scenario, scenario:38,39: all numbers or some, each by itself: a campaign",
        "keyword": "pytest's -k: only the tests whose names match",
        "workers": "test processes side by side, three a core as most of them wait; 0 runs them in this one",
        "report": "an HTML file: what passed, and how the paths went in each lab",
        "junit": "a JUnit file, as CI servers read it",
        "scheduler": "of a campaign: the address of a Dask scheduler whose workers run the numbers",
        "deadline": "of a campaign: seconds after which a number that hangs is cut off",
    }
)
def test(
    c: Any,
    only: str = "",
    keyword: str = "",
    workers: str = "",
    report: str = "",
    junit: str = "",
    scheduler: str = "",
    deadline: float = Number(600),
) -> None:
    """Run the tests, all of them for real.

    Example: invoke test --only e2e
    """
    # A text: a number that was not given could not be told from one that was.
    given = Count(workers) if workers else None
    if only == "scenario" or (only.startswith("scenario:") and (scheduler or "," in only)):
        run(c, campaign(only, given, scheduler, deadline, junit, keyword or report))
        return
    if scheduler:
        raise Exit(f"--scheduler {scheduler}: for --only scenario, or scenario:38,39", 2)
    argv = [sys.executable, "-m", "pytest", *chosen(only)]
    argv += ["-k", keyword] if keyword else []
    argv += ["--lab-report", report] if report else []
    argv += ["--junit-xml", junit] if junit else []
    # Tests that share one lab are one group: each worker would bring up its own.
    count = SIDE_BY_SIDE if given is None else given
    argv += ["-n", str(count), "--dist", "loadgroup"] if count else []
    run(c, argv)


def campaign(
    only: str, workers: int | None, scheduler: str, deadline: float, junit: str, other: str
) -> list[str]:
    """In the words of `tests.e2e.campaign`, whose workers run a number each."""
    if other:
        raise Exit("--keyword, --report: a campaign runs whole numbers, and has --junit", 2)
    if workers is not None and scheduler:
        raise Exit("--workers and --scheduler: it is one or the other", 2)
    numbers = only.partition(":")[2].replace(",", " ").split()
    argv = [sys.executable, "-m", "tests.e2e.campaign", *numbers, "--deadline", str(deadline)]
    argv += ["--junit", junit] if junit else []
    argv += ["--scheduler", scheduler] if scheduler else []
    if workers is None and not scheduler:
        workers = SIDE_BY_SIDE
    return argv + (["--workers", str(workers)] if workers is not None else [])


def chosen(only: str) -> list[str]:
    """In pytest's words."""
    wing, colon, number = only.partition(":")
    if colon and wing == "scenario":
        from tests.e2e import catalogue

        try:
            return catalogue.arguments(number)
        except catalogue.NoScenario as error:
            raise Exit(f"--only {only}: {error}", 2) from None
    if only and only not in WINGS:
        raise Exit(f"--only {only}: there is {', '.join(WINGS)}, scenario, scenario:NUMBER", 2)
    return [str(Path("tests") / only)]


@task(
    iterable=["only"],
    help={
        "only": "one benchmark, such as bringup; may be repeated. fuzz and tailscale take long: only so",
        "rounds": "interleaved rounds; the medians are shown",
        "json": "one JSON document a benchmark",
        "out": "a folder for bench.html, .md, .json and .svg",
    },
)
def bench(
    c: Any, only: Any = None, rounds: int = Count(5), json: bool = False, out: str = ""
) -> None:
    """Measure, beside peers and beside the numbers to reach.

    Example: invoke bench --only bringup
    """
    argv = [sys.executable, "-m", "tests.bench", "--rounds", str(rounds)]
    argv += [word for name in only or () for word in ("--only", name)]
    argv += ["--out", out] if out else []
    run(c, argv + ["--json"] * json, echo=not json)


@task
def check(c: Any) -> None:
    """Lint, format, types, and the arrows between packages.

    Example: invoke check
    """
    for argv in (
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        ["lint-imports"],
    ):
        run(c, argv)


def run(c: Any, argv: list[str], echo: bool = True) -> None:
    """From the project's root, shown before it runs; its exit status is ours."""
    with c.cd(ROOT):
        done = c.run(shlex.join(argv), echo=echo, warn=True, pty=sys.stdout.isatty())
    if done.exited:
        raise Exit(code=done.exited)


namespace = Collection(test, check, bench, lab=commands.collection())

if __name__ == "__main__":
    program.run(namespace)
