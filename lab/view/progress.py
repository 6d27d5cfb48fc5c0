"""How far it is and how long it will take: a bar that redraws itself, or lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

WIDTH = 30  # characters
IN_A_LOG = 10.0  # seconds between lines where nothing can be redrawn


class Progress:
    def __init__(
        self,
        total: int,
        what: str,
        out: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._what, self._clock = total, what, clock
        self._out = sys.stderr if out is None else out
        self._done = 0
        self._started = self._shown = clock()
        self._live = self._out.isatty()
        self._show()

    def step(self, count: int = 1) -> None:
        self._done += count
        if self._live or self._clock() - self._shown > IN_A_LOG or self._done == self._total:
            self._show()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._clear()
        print(text, file=self._out, flush=True)
        if self._live:
            self._show()

    def end(self) -> None:
        self._clear()

    def line(self) -> str:
        filled = WIDTH * self._done // max(1, self._total)
        bar = "#" * filled + "." * (WIDTH - filled)
        return f"[{bar}] {self._done}/{self._total} {self._what}, {self._left()}"

    def _left(self) -> str:
        spent = self._clock() - self._started
        if self._done == self._total:
            return f"{spent:.0f} s"
        if not self._done:
            return "time left: not known yet"
        left = spent / self._done * (self._total - self._done)
        return f"{left // 60:.0f}:{left % 60:02.0f} left"

    def _show(self) -> None:
        self._shown = self._clock()
        end = "" if self._live else "\n"
        print(f"{self._start}{self.line()}", end=end, file=self._out, flush=True)

    def _clear(self) -> None:
        if self._live:
            print(self._start, end="", file=self._out, flush=True)

    @property
    def _start(self) -> str:
        return "\r\033[K" if self._live else ""
