"""Ending a lab. Its keeper is PID 1 of a PID namespace: when it ends, the kernel ends everything in it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path

from lab.ask import ask
from lab.errors import KeeperGone, LabError
from lab.state import is_alive

PATIENCE = 10.0  # seconds for the keeper to answer, on a very busy machine
_LOOK = 1.0  # seconds without an answer until it is looked at: a frozen one is killed
_GRACE = 3.0  # seconds for the daemons to end, once the keeper has said that it stops
_LAST_MOMENT = 1.0  # seconds between the keeper's end and its lock's
_HALTED = ("T", "t")  # proc(5): by a signal, by a debugger


def stop(folder: Path) -> None:
    """Asks the keeper to end the lab, kills it if it does not, and returns when all of it is gone."""
    fd = keeper(folder)
    if fd is None:
        _wait_for_lock(folder)
        return
    try:
        patience = _GRACE if _is_told(folder) else 0.0
        if not _ends(fd, patience):
            _kill(fd)
    finally:
        os.close(fd)
    _wait_for_lock(folder)


def _is_told(folder: Path) -> bool:
    """Whether the keeper knows that it is to end."""
    until = time.monotonic() + PATIENCE
    asked = False
    while time.monotonic() < until:
        try:
            ask(folder, "down", timeout=_LOOK)
            return True
        except KeeperGone:  # it still builds, or has heard us when it was asked before
            return asked
        except LabError:
            if _is_frozen(folder):
                return False
        asked = True
    return False


def _is_frozen(folder: Path) -> bool:
    try:
        pid = int((folder / "pid").read_text())
        about = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, ValueError):
        return False
    return about.rpartition(")")[2].split()[0] in _HALTED


def kill(folder: Path) -> None:
    fd = keeper(folder)
    if fd is None:
        return
    try:
        _kill(fd)
    finally:
        os.close(fd)


def _kill(fd: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just ended
        signal.pidfd_send_signal(fd, signal.SIGKILL)
    _ends(fd, None)


def keeper(folder: Path) -> int | None:
    """The keeper's process as a descriptor, or None if it is dead.

    The number in `pid` may by now be somebody else's, unless the folder is still locked: then it lives.
    """
    try:
        pid = int((folder / "pid").read_text())
        fd = os.pidfd_open(pid)
    except (OSError, ValueError):
        return None
    if not is_alive(folder):
        os.close(fd)
        return None
    return fd


def _ends(fd: int, patience: float | None) -> bool:
    """Whether the process ended within `patience` seconds (None: as long as it takes)."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if patience is None else patience * 1000))


def _wait_for_lock(folder: Path) -> None:
    # The keeper's parent, which only waits for it, holds the lock a moment longer; or another
    # command is at work.
    until = time.monotonic() + _LAST_MOMENT
    while is_alive(folder) and time.monotonic() < until:
        time.sleep(0.001)
