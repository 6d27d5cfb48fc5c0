"""A Dask scheduler and its workers, for the tests of campaigns: processes of their own, on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
StartWorker = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("distributed", reason="distributed is not installed")
    file = tmp_path / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
    process = dask("scheduler", *options, "--scheduler-file", str(file))
    wait_until(lambda: file.exists() and file.read_text().rstrip().endswith("}"))
    yield json.loads(file.read_text())["address"]
    process.kill()
    process.wait()


@pytest.fixture
def start_worker(scheduler: str, tmp_path: Path) -> Iterator[StartWorker]:
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str, **env: str) -> subprocess.Popen[bytes]:
        options = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
        options += ["--name", name, "--local-directory", str(tmp_path / name)]
        started.append(dask("worker", scheduler, *options, **env))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def two_workers(scheduler: str, start_worker: StartWorker) -> str:
    """The scheduler's address, with two workers there."""
    for name in ("one", "two"):
        start_worker(name)
    wait_for_workers(scheduler, 2)
    return scheduler


def dask(role: str, *words: str, **env: str) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", f"distributed.cli.dask_{role}", *words]
    around = os.environ | {"PYTHONPATH": str(ROOT), **env}
    silent = subprocess.DEVNULL
    return subprocess.Popen(argv, cwd=ROOT, env=around, stdout=silent, stderr=silent)


def wait_for_workers(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        client.wait_for_workers(count, timeout=120)


def wait_until(it_is_so: Callable[[], bool], within: float = 120.0) -> None:
    until = time.monotonic() + within
    while not it_is_so():
        assert time.monotonic() < until
        time.sleep(0.001)
