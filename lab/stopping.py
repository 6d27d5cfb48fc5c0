"""Ending a lab. Its keeper is PID 1 of a PID namespace: when it ends, the kernel ends everything in it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from pathlib import Path

from lab.ask import ask
from lab.errors import LabError
from lab.state import is_alive

PATIENCE = 1.0  # seconds for the keeper to answer; a frozen one is killed
_GRACE = 3.0  # seconds for the daemons to end, once the keeper has said that it stops
_LAST_MOMENT = 1.0  # seconds between the keeper's end and its lock's


def stop(folder: Path) -> None:
    """Asks the keeper to end the lab, kills it if it does not, and returns when all of it is gone."""
    fd = keeper(folder)
    if fd is None:
        _wait_for_lock(folder)
        return
    try:
        patience = 0.0
        with contextlib.suppress(LabError):
            ask(folder, "down", timeout=PATIENCE)
            patience = _GRACE
        if not _ends(fd, patience):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            _ends(fd, None)
    finally:
        os.close(fd)
    _wait_for_lock(folder)


def kill(folder: Path) -> None:
    fd = keeper(folder)
    if fd is None:
        return
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        _ends(fd, None)
    finally:
        os.close(fd)


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
