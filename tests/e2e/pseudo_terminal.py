"""A program on a terminal of 80 columns and 24 rows, and what somebody in front of it sees."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import pyte

COLUMNS, ROWS = 80, 24
WIDER = 40  # columns that the screen has beyond those: whatever stands there is too wide
HOME = "\x1b[H"  # each screen that is drawn begins so


class PseudoTerminal:
    def __init__(self, argv: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
        self.raw = ""
        self.screen = pyte.Screen(COLUMNS + WIDER, ROWS)
        self._stream = pyte.Stream(self.screen)
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.before = self.settings()
        self.process = subprocess.Popen(
            argv,
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.finish(30.0)
        os.close(self._master)
        os.close(self._slave)

    def settings(self) -> list[Any]:
        """Echo, line mode and the like."""
        return termios.tcgetattr(self._slave)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    @property
    def rows(self) -> list[str]:
        found: list[str] = [row.rstrip() for row in self.screen.display]
        return found

    def until(self, is_seen: Callable[[list[str]], bool], within: float = 40.0) -> None:
        """Looks at every screen that is drawn, one after the other."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            for piece in self._pieces(end):
                self._stream.feed(piece)
                if is_seen(self.rows):
                    return
            if self.process.poll() is not None and not self._is_readable(0):
                break
        raise AssertionError("never seen; the last screen:\n" + "\n".join(self.rows))

    def finish(self, within: float) -> int:
        """What comes until its end, and its exit status."""
        end = time.monotonic() + within
        while self.process.poll() is None and time.monotonic() < end:
            for piece in self._pieces(time.monotonic() + 0.1):
                self._stream.feed(piece)
        for piece in self._pieces(time.monotonic()):
            self._stream.feed(piece)
        return self.process.wait(1.0)

    def colours(self) -> set[int]:
        """Of all that was sent: the SGR parameters that set a colour (ECMA-48 §8.3.117)."""
        codes = re.findall(r"\x1b\[([\d;]*)m", self.raw)
        numbers = {int(code or 0) for each in codes for code in each.split(";")}
        return {code for code in numbers if 30 <= code < 50 or 90 <= code < 108}

    def _pieces(self, end: float) -> list[str]:
        if not self._is_readable(max(0.0, end - time.monotonic())):
            return []
        data = os.read(self._master, 1 << 16).decode(errors="replace")
        self.raw += data
        first, *rest = data.split(HOME)
        return [first, *(HOME + each for each in rest)]

    def _is_readable(self, within: float) -> bool:
        return bool(select.select([self._master], [], [], within)[0])
