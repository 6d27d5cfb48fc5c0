"""One task in a process of its own, cut off at its deadline, with nothing of it left.

A task is a module that runs with a JSON request as its argument and prints a JSON answer, or with status 3
why this machine cannot. Labs that it starts live in a folder of its own: whoever attends it clears that
folder when the task has ended, was cut off or died, and ends what it started elsewhere: all that bears its
mark in the environment. A task whose attendant is gone sees the end of its stdin, and ends; whoever clears
up after it is a process of its own, because a lab that is just coming up ends only when its starter has.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lab import state, stopping
from lab.errors import CannotHere, LabError

STATE = "PUNCHLAB_STATE"
MARK = "PUNCHLAB_TASK"  # its folder: what the task starts has it too, in whatever session it may be
CANNOT = CannotHere.exit_status
WORDS = 5  # lines of what it said last, if it died
PATIENCE = 30.0  # seconds for a keeper to notice that its starter is gone, on a very busy machine
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


# The tasks that run in this process's threads.
_under_way: set[subprocess.Popen[str]] = set()
_guard = threading.Lock()


def attend(task: Task, deadline: float) -> Attempt:
    """Runs it to its end; what goes wrong is in the answer, never raised."""
    started = time.monotonic()
    # The task makes it when it needs it: we may be killed before there is one to clear up after us.
    folder = Path(tempfile.gettempdir(), f"punchlab-task-{secrets.token_hex(8)}")
    try:
        outcome, answer = _run(task, deadline, folder)
    finally:
        clear(folder)
    return Attempt(outcome, answer, time.monotonic() - started, _here())


def end_all() -> None:
    """Ends what is being attended; whoever attends it clears up."""
    with _guard:
        for process in _under_way:
            _kill(process)


def clear(folder: Path) -> None:
    """Takes down the labs that live in a folder, frozen ones too, and what else is left; removes it."""
    until = time.monotonic() + PATIENCE
    for each in list(folder.iterdir()) if folder.exists() else ():
        while each.is_dir() and not state.remove_if_dead(each) and time.monotonic() < until:
            stopping.stop(each)
    # Twice: who is just becoming another program has no environment for a moment.
    while (left := _marked(folder) or _marked(folder)) and time.monotonic() < until:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _marked(folder: Path) -> list[int]:
    mark = f"{MARK}={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended, or is somebody else's
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(int(process.name))
    return [pid for pid in found if pid != os.getpid()]


def _run(
    task: Task, deadline: float, folder: Path
) -> tuple[Literal["done", "hung", "died", "cannot"], Any]:
    argv = [sys.executable, "-m", task.module, json.dumps(task.request)]
    env = os.environ | {STATE: str(folder), MARK: str(folder), "PYTHONPATH": _python_path()}
    pipe = subprocess.PIPE
    # A session of its own: a Ctrl-C is for us, and what it started dies with it. Its stdin ends when we do.
    with _lifeline() as stdin:
        process = subprocess.Popen(
            argv, stdin=stdin, stdout=pipe, stderr=pipe, env=env, text=True, start_new_session=True
        )
        with _among_those_under_way(process):
            try:
                out, err = process.communicate(timeout=deadline)
            except subprocess.TimeoutExpired:
                _kill(process)
                clear(folder)  # what holds its stderr open, too
                _, err = process.communicate()
                return "hung", _with_last_words(f"cut off after {deadline:g} s", err)
    if process.returncode == 0:
        with contextlib.suppress(ValueError):
            return "done", json.loads(out)
    if process.returncode == CANNOT:
        return "cannot", out.strip()
    return "died", _with_last_words(_end(process.returncode), err)


@contextlib.contextmanager
def _lifeline() -> Iterator[int]:
    reading, writing = os.pipe()
    try:
        yield reading
    finally:
        os.close(reading)
        os.close(writing)


@contextlib.contextmanager
def _among_those_under_way(process: subprocess.Popen[str]) -> Iterator[None]:
    with _guard:
        _under_way.add(process)
    try:
        yield
    finally:
        with _guard:
            _under_way.remove(process)


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _end(status: int) -> str:
    return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def _with_last_words(how: str, err: str) -> str:
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

_leaving = threading.Lock()


def answer_with(body: Callable[[dict[str, Any]], Any]) -> None:
    """The `main` of a task's module."""
    threading.Thread(target=_end_with_the_attendant, daemon=True).start()
    try:
        answer = body(json.loads(sys.argv[1]))
    except LabError as error:
        is_answer = error.exit_status == CANNOT
        print(error, file=sys.stdout if is_answer else sys.stderr)
        sys.exit(error.exit_status)
    else:
        json.dump(answer, sys.stdout)
    finally:  # a task that ends by itself may be quicker than the thread
        if MARK in os.environ and not _is_attended():
            _end_and_clear()


def _end_with_the_attendant() -> None:
    if sys.stdin.isatty() or MARK not in os.environ:
        return  # started by hand
    while os.read(0, 4096):
        pass
    _end_and_clear()


def _is_attended() -> bool:
    poll = select.poll()
    poll.register(0, 0)  # a hang-up is told in any case
    return not poll.poll(0)


def _end_and_clear() -> None:
    argv = [sys.executable, "-m", "lab.judge.attend", os.environ[MARK]]
    null = subprocess.DEVNULL
    with _leaving:  # two that clear up would end each other
        subprocess.Popen(argv, stdin=null, stdout=null, stderr=null, start_new_session=True)
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    clear(Path(sys.argv[1]))
