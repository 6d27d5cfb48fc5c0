"""Labs of tests live in a folder of the test's own, so nothing of them can meet anybody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import client
from lab.client import Lab
from lab.model.network import Topology
from lab.model.plan import Plan

Up = Callable[..., Lab]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("PUNCHLAB_STATE", str(folder))
    return folder


@pytest.fixture
def up(state: Path) -> Iterator[Up]:
    """Brings a plan or a topology up; what is still up when the test ends is taken down."""
    names: list[str] = []

    def start(plan: Plan | Topology, name: str | None = None, **kw: Any) -> Lab:
        names.append(name or (plan.topology if isinstance(plan, Plan) else plan.name))
        return Lab.up(plan, name, **kw)

    yield start
    for name in names:
        client.down(name)
