"""`--lab-report F.html`: a page of the whole run, with how the paths went in each test's labs.

A test process of xdist sends what it saw of its labs along with its report; the page is written where
the run was started.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.client import Lab
from lab.errors import LabError
from lab.model.events import BadEvent, Event, parse
from lab.view.tests_html import Drawn, Ran, html
from lab.view.upgrades import upgrades

OPTION = "--lab-report"
_SEEN = "punchlab_labs"  # an attribute of a test's report
_WORDS = 4000  # characters of a failure


def configure(config: pytest.Config) -> None:
    if chosen := config.getoption(OPTION):
        file = Path(chosen).absolute()
        if not file.parent.is_dir():
            raise pytest.UsageError(f"{OPTION} {chosen}: there is no folder {file.parent}")
        if not hasattr(config, "workerinput"):
            config.pluginmanager.register(Report(file), "punchlab-report")


def look(report: pytest.TestReport, labs: Iterable[Lab], since: float) -> None:
    """What a test's labs have seen since then (CLOCK_MONOTONIC), kept with its report."""
    setattr(report, _SEEN, [_seen(lab, since) for lab in labs])


def _seen(lab: Lab, since: float) -> dict[str, Any]:
    try:
        events = list(lab.events())
        return {
            "topology": lab.plan().topology,
            "events": events,
            "begin": max([since, *(each["at"] for each in events[:1])]),
            "end": time.monotonic(),
        }
    except LabError as error:  # gone, perhaps on purpose
        return {"topology": str(error), "events": [], "begin": 0.0, "end": 0.0}


class Report:
    def __init__(self, file: Path) -> None:
        self._file = file
        self._tests: list[Ran] = []
        self._began = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            labs = [_drawn(seen) for seen in getattr(report, _SEEN, ())]
            words = _words(report)
            self._tests.append(Ran(report.nodeid, report.outcome, report.duration, words, labs))

    def pytest_sessionfinish(self) -> None:
        self._file.write_text(html(self._tests, time.monotonic() - self._began))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.write_line(f"report: {self._file}")


def _drawn(seen: dict[str, Any]) -> Drawn:
    return Drawn(seen["topology"], upgrades(_parsed(seen["events"]), seen["begin"], seen["end"]))


def _parsed(lines: Sequence[dict[str, Any]]) -> list[Event]:
    events = []
    for line in lines:
        try:
            events.append(parse(line))
        except BadEvent:  # a daemon of somebody's
            continue
    return events


def _words(report: pytest.TestReport) -> str:
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2])
    return report.longreprtext[-_WORDS:] if report.outcome == "failed" else ""
