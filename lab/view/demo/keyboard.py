"""Single keys of a terminal, as they are pressed; and the terminal as it was, whatever happens."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def keyboard() -> Iterator[Callable[[], str]]:
    """Gives what returns the keys pressed since it was last asked. Without a terminal nobody presses any."""
    if not sys.stdin.isatty():
        yield lambda: ""
        return
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd)  # Ctrl-C stays what it is
        yield lambda: _pressed(fd)
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def _pressed(fd: int) -> str:
    keys = b""
    while select.select([fd], [], [], 0)[0]:
        if not (some := os.read(fd, 64)):  # the terminal hung up
            break
        keys += some
    return keys.decode(errors="ignore")
