"""One number of a campaign: pytest runs its tests, in a process of its own and in this checkout.

    python -m tests.e2e.one_number '{"arguments": ["tests/e2e/test_quiet.py", "--scenario", "31"]}'

prints one JSON object: what came of it, how many tests, pytest's last lines and its JUnit suite. The
temporary folders of the tests are in the task's own, so that whoever clears up after it has them too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from lab import state
from lab.errors import CannotHere
from lab.judge.attend import answer_with
from lab.pytest_plugin.needs import missing
from tests.e2e.catalogue import ROOT

LINES = 15  # of what pytest said last: the summary, and where it failed
COUNTS = ("tests", "skipped")
PREFIX = "_pytest-"  # no lab's name, so that nobody takes it for what a dead lab left


def main(request: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=state.root()) as folder:
        suites = Path(folder) / "junit.xml"
        status, said = run_pytest([*request["arguments"], f"--basetemp={folder}/tests"], suites)
        suite = next(Xml.parse(suites).iter("testsuite")) if suites.exists() else None
    found = answer(status, said, suite)
    if found["outcome"] != "ok" and (lacking := missing(frozenset())):
        raise CannotHere(f"this machine cannot run a lab: {lacking}")
    return found


def run_pytest(arguments: Sequence[str], suites: Path) -> tuple[int, str]:
    """Its exit status and what it said, which is on stderr as it comes."""
    argv = [sys.executable, "-m", "pytest", "-v", "--tb=short", f"--junit-xml={suites}", *arguments]
    null, pipe = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(
        argv, cwd=ROOT, stdin=null, stdout=pipe, stderr=subprocess.STDOUT, bufsize=0
    ) as pytest:
        said = b""
        while chunk := pytest.stdout.read(4096):  # type: ignore[union-attr]
            os.write(sys.stderr.fileno(), chunk)
            said += chunk
    return pytest.returncode, said.decode(errors="replace")


def answer(status: int, said: str, suite: Xml.Element | None) -> dict[str, Any]:
    tests, skipped = (int(suite.get(word, 0)) if suite is not None else 0 for word in COUNTS)
    failed = status or not tests  # 0 and no test: one of them ended pytest
    return {
        "outcome": "failed" if failed else "skipped" if skipped == tests else "ok",
        "tests": tests,
        "words": "\n".join(said.rstrip().splitlines()[-LINES:]),
        "suite": "" if suite is None else Xml.tostring(suite, encoding="unicode"),
    }


if __name__ == "__main__":
    answer_with(main)
