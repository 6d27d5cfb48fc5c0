"""Labs in tests: start one, change it, ask it, and on failure see what it saw.

    def test_two_homes_move_from_relay_to_direct(lab: StartLab) -> None:
        net = lab("nat-pair")
        a, b = net.node("node-a"), net.node("node-b")
        a.ping(b)
        a.wait_for_path(b, "direct", within=10)
        net.prove_direct(a, b)

The fixture builds and takes down. When the test fails, the drawing, each router's rules, the events and
every daemon's log are in its report, and in a folder that the report names. `lab/README.md` has it all.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from lab.pytest_plugin import capturing, evidence, needs, run_page, scenarios
from lab.pytest_plugin.net import Echoes, Net, Node, NoReply, Stream
from lab.pytest_plugin.pause import OPTION as KEEP
from lab.pytest_plugin.pause import pause
from lab.pytest_plugin.starting import StartLab, lab, labs_of, module_lab, starters_of

__all__ = ["Echoes", "Net", "NoReply", "Node", "StartLab", "Stream", "lab", "module_lab"]

MARKERS = (
    f"{needs.MARK}(*capabilities): skipped, with the reason, where this machine cannot run a lab",
    f"{scenarios.MARK}(*numbers): the numbers of the scenarios that a test covers",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("punchlab", "labs in tests")
    group.addoption(
        evidence.OPTION,
        metavar="DIR",
        help="where what is left of failed tests' labs is kept (a folder in pytest's cache)",
    )
    group.addoption(
        KEEP,
        action="store_true",
        help="when a test fails, wait with its labs up, and say how to look inside",
    )
    group.addoption(
        capturing.OPTION,
        action="store_true",
        help="of a test that fails, keep the last packets of its labs too, as a pcapng",
    )
    group.addoption(
        needs.OPTION,
        nargs="?",
        const="yes",
        choices=["yes", "no"],
        help="where this machine cannot run a lab: fail such tests (in CI so anyway), or skip them",
    )
    group.addoption(
        run_page.OPTION,
        metavar="F.html",
        help="write a page about the run: what passed, and how the paths went in each lab",
    )
    group.addoption(
        scenarios.OPTION,
        action="append",
        default=[],
        type=int,
        metavar="N",
        help="only the tests of this scenario, by its number; may be repeated",
    )


def pytest_configure(config: pytest.Config) -> None:
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    run_page.configure(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    needs.mark(items)
    scenarios.select(config, items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    needs.check(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.when == "call" and item.config.getoption(run_page.OPTION):
        run_page.look(report, labs_of(item), time.monotonic() - call.duration)
    if report.when != "teardown" and report.failed and labs_of(item):
        _keep(item, report)
    return report


def _keep(item: pytest.Item, report: pytest.TestReport) -> None:
    folder = evidence.folder_of(item)
    for starter in starters_of(item):
        for each in starter.labs:
            if not each.folder.exists():  # the test took it down
                continue
            evidence.keep(each, folder / each.name)
            report.sections += list(evidence.sections(each))
            if problem := starter.captures.keep(each, folder / each.name):
                report.sections.append((f"{each.name}: no capture", problem))
    report.sections.append(("labs of this test", f"kept in {folder}"))


def pytest_exception_interact(
    node: pytest.Item | pytest.Collector, report: pytest.TestReport
) -> None:
    if not isinstance(node, pytest.Item) or not node.config.getoption(KEEP):
        return
    if report.when != "teardown" and (labs := labs_of(node)):
        pause(node, labs)
