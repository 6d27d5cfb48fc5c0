"""One task in a process of its own, cut off at its deadline, with nothing of it left.

A task is a module that runs with a JSON request as its argument and prints a JSON answer. Labs that it
starts live in a folder of its own: whoever attends it clears that folder when the task has ended, was
cut off or died. A task whose attendant is gone sees the end of its stdin, takes its labs down, and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lab import state, stopping
from lab.errors import CannotHere, LabError

STATE = "PUNCHLAB_STATE"
CANNOT = CannotHere.exit_status
WORDS = 5  # lines of what it said last, if it died
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True, slots=True)
class Task:
    name: str
    module: str
    request: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one try went. `hung`: cut off. `died`: ended without an answer. `cannot`: not on this machine."""

    outcome: Literal["done", "hung", "died", "cannot"]
    answer: Any  # what was wrong, in words, if it is not done
    seconds: float
    worker: str


# Closed, they end the tasks that run in this process's threads.
_lifelines: set[int] = set()
_guard = threading.Lock()


def attend(task: Task, deadline: float) -> Attempt:
    """Runs it to its end; what goes wrong is in the answer, never raised."""
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="punchlab-task-"))
    try:
        outcome, answer = _run(task, deadline, folder)
    finally:
        clear(folder)
    return Attempt(outcome, answer, time.monotonic() - started, _here())


def end_all() -> None:
    """Ends what is being attended, as if this process were gone."""
    with _guard:
        for fd in _lifelines:
            os.close(fd)
        _lifelines.clear()


def clear(folder: Path) -> None:
    """Takes down the labs that live in a folder, frozen ones too, and removes it."""
    for each in list(folder.iterdir()) if folder.exists() else ():
        if each.is_dir() and not state.remove_if_dead(each):
            stopping.stop(each)
            state.remove_if_dead(each)
    shutil.rmtree(folder, ignore_errors=True)


def _run(
    task: Task, deadline: float, folder: Path
) -> tuple[Literal["done", "hung", "died", "cannot"], Any]:
    argv = [sys.executable, "-m", task.module, json.dumps(task.request)]
    env = os.environ | {STATE: str(folder), "PYTHONPATH": _python_path()}
    pipe = subprocess.PIPE
    with _lifeline() as stdin:
        # A session of its own: a Ctrl-C is for us, and what it started dies with it.
        process = subprocess.Popen(
            argv, stdin=stdin, stdout=pipe, stderr=pipe, env=env, text=True, start_new_session=True
        )
        try:
            out, err = process.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            _kill(process)
            return "hung", f"cut off after {deadline:g} s"
        except BaseException:
            _kill(process)
            raise
    if process.returncode == 0:
        with contextlib.suppress(ValueError):
            return "done", json.loads(out)
    if process.returncode == CANNOT:
        return "cannot", err.strip()
    return "died", _last_words(process.returncode, err)


@contextlib.contextmanager
def _lifeline() -> Any:
    """A stdin that ends when we do."""
    reading, writing = os.pipe()
    with _guard:
        _lifelines.add(writing)
    try:
        yield reading
    finally:
        os.close(reading)
        with _guard:
            if writing in _lifelines:
                _lifelines.remove(writing)
                os.close(writing)


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _last_words(status: int, err: str) -> str:
    how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
    words = "\n".join(err.strip().splitlines()[-WORDS:])
    return f"{how}: {words}" if words else how


def _here() -> str:
    """As its scheduler calls it, if we are a Dask worker."""
    if distributed := sys.modules.get("distributed"):
        with contextlib.suppress(ValueError):
            return str(distributed.get_worker().address)
    return socket.gethostname()


def _python_path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))


# --- the other side: inside the task


def answer_with(body: Callable[[dict[str, Any]], Any]) -> None:
    """The `main` of a task's module."""
    threading.Thread(target=_end_with_the_attendant, daemon=True).start()
    try:
        answer = body(json.loads(sys.argv[1]))
    except LabError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_status)
    json.dump(answer, sys.stdout)


def _end_with_the_attendant() -> None:
    if sys.stdin.isatty() or STATE not in os.environ:
        return  # started by hand
    while os.read(0, 4096):
        pass
    clear(Path(os.environ[STATE]))
    os._exit(1)
