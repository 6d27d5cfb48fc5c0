"""Who does a campaign's work: threads here that attend processes, or an existing Dask cluster.

Both are a `concurrent.futures.Executor` and what a campaign must know besides: which workers went away,
and which of them cannot run labs at all.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any, Protocol

from lab.errors import BadRequest, CannotHere, LabError
from lab.judge.attend import end_all

CONNECT_PATIENCE = 15.0  # seconds for a scheduler to answer
LOOK = 0.1  # seconds between looks at who is still at work


class Crew(Protocol):
    name: str

    @property
    def executor(self) -> Executor: ...

    def gone(self) -> list[str]:
        """The workers that have gone since this was asked last."""

    def check(self) -> None:
        """LabError when none is left."""

    def excuse(self, worker: str, why: str) -> None:
        """Gives that worker nothing more. CannotHere when it was the last one."""


class Local:
    """Threads, each attending one process at a time: a process that dies takes no other with it."""

    def __init__(self, workers: int) -> None:
        self.executor: Executor = ThreadPoolExecutor(workers)
        self.name = f"{workers} here"

    def gone(self) -> list[str]:
        return []

    def check(self) -> None:
        """We are here."""

    def excuse(self, worker: str, why: str) -> None:
        raise CannotHere(why)  # all of them are this machine


class Cluster:
    """The workers of a Dask scheduler. New ones are welcome at any time."""

    def __init__(self, client: Any, address: str) -> None:
        self._client = client
        self._address = address
        self._known = self._workers()
        self._excused: dict[str, str] = {}
        self.executor = self._executor()
        self.name = f"{len(self._known)} of {address}"

    def gone(self) -> list[str]:
        now = self._workers()
        gone, self._known = self._known - now, now
        return sorted(gone)

    def check(self) -> None:
        if not self._known - set(self._excused):
            raise LabError(f"the scheduler {self._address} has no worker left that can run labs")

    def excuse(self, worker: str, why: str) -> None:
        self._excused[worker] = why
        able = sorted(self._workers() - set(self._excused))
        if not able:
            raise CannotHere(f"no worker of {self._address} can run labs; {worker}: {why}")
        self.executor = self._executor(workers=able)

    def _executor(self, **where: Any) -> Executor:
        # Not pure: the same task again is to be tried again, not to be answered from memory.
        executor: Executor = self._client.get_executor(pure=False, **where)
        return executor

    def _workers(self) -> set[str]:
        try:
            return set(self._client.nthreads())
        except (OSError, TimeoutError):
            raise LabError(f"the scheduler {self._address} does not answer any more") from None


def chosen(workers: int, scheduler: str) -> AbstractContextManager[Crew]:
    """As `--workers` and `--scheduler` say it; with neither, one worker a core."""
    if workers and scheduler:
        raise BadRequest("--workers and --scheduler: it is one or the other")
    return cluster(scheduler) if scheduler else local(workers or os.cpu_count() or 1)


@contextlib.contextmanager
def local(workers: int) -> Iterator[Local]:
    if workers < 1:
        raise BadRequest(f"--workers {workers}: at least one is needed")
    crew = Local(workers)
    try:
        yield crew
    finally:
        crew.executor.shutdown(wait=False, cancel_futures=True)
        closing = threading.Thread(target=crew.executor.shutdown)
        closing.start()
        while closing.is_alive():
            end_all()  # one that is only being started is not among them the first time
            closing.join(LOOK)


@contextlib.contextmanager
def cluster(address: str) -> Iterator[Cluster]:
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise CannotHere(
            "--scheduler needs the package distributed",
            "`./punchlab lab.matrix --scheduler ...` brings it; so does `pip install distributed`",
        ) from None
    for noisy in ("distributed", "tornado", "bokeh"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    try:
        distributed.comm.resolve_address(address)  # a client made in vain ends noisily, and late
        client = distributed.Client(address, timeout=CONNECT_PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise BadRequest(
            f"no Dask scheduler answers at {address}: {str(error).splitlines()[0]}",
            "`dask scheduler` starts one and prints its address, like tcp://10.0.0.5:8786",
        ) from None
    try:
        if not client.nthreads():
            raise LabError(
                f"the scheduler {address} has no workers", f"`dask worker {address}` starts one"
            )
        yield Cluster(client, address)
    finally:
        client.close()
