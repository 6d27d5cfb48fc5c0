"""Starting labs: the fixtures `lab`, for one test, and `module_lab`, for all tests of a file."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lab.client import Lab
from lab.model.topology import load
from lab.pytest_plugin.capturing import OPTION, Captures
from lab.pytest_plugin.net import Net

_numbers = itertools.count()


class StartLab:
    """`lab("nat-pair", nat={"home-a": "symmetric"})`: up, with a name of its own, down at the test's end."""

    def __init__(self, folder: Path, captures: Captures) -> None:
        self.folder = folder  # where a relative path to a topology begins: beside the test
        self.captures = captures
        self.labs: list[Lab] = []

    def __call__(
        self,
        topology: str,
        nat: Mapping[str, str] | None = None,
        set: Mapping[str, Any] | None = None,
        add: str = "",
        captured: bool = False,
    ) -> Net:
        """`set` overrides values by their keys; `add` is TOML with further machines.

        `captured`: the lab's first `capture` begins with its first packet, before any daemon was there.
        """
        overrides = {key: toml(value) for key, value in (set or {}).items()}
        overrides |= {f"router.{router}.nat": profile for router, profile in (nat or {}).items()}
        wanted = load(self._found(topology), overrides, add)
        is_ours = self.captures.wanted and not captured  # else the test has it
        # Tied: a run that is killed, as CI does when its time is over, takes its labs along.
        lab = Lab.up(wanted, unused_name(), captured=captured or is_ours, tied=True)
        self.labs.append(lab)
        if is_ours:
            self.captures.begin(lab)
        return Net(lab)

    def _found(self, topology: str) -> str:
        beside = self.folder / topology
        return str(beside) if topology.endswith(".toml") and beside.exists() else topology


def unused_name() -> str:
    """Labs of other test processes run beside ours."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return f"test-{worker}-{os.getpid()}-{next(_numbers)}"


def toml(value: Any) -> str:
    """An override's text: JSON's strings, numbers and lists are TOML's too."""
    return value if isinstance(value, str) else json.dumps(value)


def starters_of(item: pytest.Item) -> list[StartLab]:
    given = getattr(item, "funcargs", {}).values()
    return [one for one in given if isinstance(one, StartLab)]


def labs_of(item: pytest.Item) -> list[Lab]:
    """Those of a test that are not down by now."""
    started = [lab for one in starters_of(item) for lab in one.labs]
    return [lab for lab in started if lab.folder.exists()]


def _start(request: pytest.FixtureRequest) -> Iterator[StartLab]:
    with contextlib.ExitStack() as at_the_end:
        folder: Path | None = None
        if request.config.getoption(OPTION):
            folder = request.getfixturevalue("tmp_path_factory").mktemp("lab-capture")
        starter = StartLab(request.path.parent, Captures(folder))
        at_the_end.callback(lambda: [at_the_end.callback(each.down) for each in starter.labs])
        at_the_end.callback(starter.captures.discard)
        yield starter


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[StartLab]:
    """Starts labs for one test, side by side with those of other test processes."""
    yield from _start(request)


@pytest.fixture(scope="module")
def module_lab(request: pytest.FixtureRequest) -> Iterator[StartLab]:
    """Starts labs that all tests of a file share."""
    yield from _start(request)
