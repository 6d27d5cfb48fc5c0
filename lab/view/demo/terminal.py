"""The demo on a terminal: draws the screen, and does what keys say. Colours and cursor are up to rich."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from lab.client import Lab
from lab.errors import LabError
from lab.view.demo import picture
from lab.view.demo.breaks import Deed, deeds
from lab.view.demo.canvas import Row
from lab.view.demo.glyphs import glyphs_for
from lab.view.demo.screen import About, screen
from lab.view.scene import Scene

LOOKS = {
    "solid": "yellow",
    "dashed": "cyan",
    "double": "bold green",
    "idle": "dim",
    "machine": "bold",
    "out": "bold red",
    "label": "bold magenta",
    "title": "bold",
    "faint": "dim",
    "good": "green",
    "bad": "red",
    "bar": "blue",
    "keys": "reverse",
}


class Terminal:
    def __init__(
        self, lab: Lab, scene: Scene, about: About, console: Console, nats: Mapping[str, str]
    ) -> None:
        self._lab, self._scene, self._about = lab, scene, about
        self._console, self._nats = console, nats
        self._glyphs = glyphs_for(console.encoding)
        self._said = ""
        self._at_work: threading.Thread | None = None

    @contextmanager
    def shown(self, pressed: Callable[[], str]) -> Iterator[Callable[[float], bool]]:
        """Gives what draws the screen as it is at `now`; it says no once `q` is among the keys pressed."""
        with Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as live:

            def tick(now: float) -> bool:
                goes_on = self._press(pressed(), now)
                live.update(self._frame(now), refresh=True)
                return goes_on

            yield tick
            live.update(self._frame(time.monotonic()), refresh=True)  # as it was at the end

    def _frame(self, now: float) -> Text:
        known = ["q quit", *(f"{deed.key} {deed.word}" for deed in self._deeds(now))]
        size = (self._console.width, self._console.height)
        rows = screen(
            self._scene, self._about, now, size, self._glyphs, f" {'  '.join(known)} ", self._said
        )
        text = Text(no_wrap=True, overflow="crop", end="")
        for n, row in enumerate(rows):
            text.append("\n" if n else "")
            _append(text, row)
        return text

    def _deeds(self, now: float) -> list[Deed]:
        way = picture.between(self._scene.plan, *self._about.pair)
        return deeds(self._lab, self._scene, way, now, self._nats)

    def _press(self, keys: str, now: float) -> bool:
        """False: that is all."""
        for key in keys.lower():
            if key == "q":
                return False
            for deed in self._deeds(now):
                if deed.key == key and not (self._at_work and self._at_work.is_alive()):
                    self._begin(deed)
        return True

    def _begin(self, deed: Deed) -> None:
        """On the side, for some take a second."""
        self._said = f" {deed.doing} ..."
        self._at_work = threading.Thread(target=self._do, args=(deed.do,), daemon=True)
        self._at_work.start()

    def _do(self, deed: Callable[[], object]) -> None:
        try:
            deed()
            self._said = ""
        except (LabError, OSError) as error:
            self._said = f" {' '.join(str(error).split())}"


def console_for(file: Any, recorded: tuple[int, int] | None) -> Console:
    """`recorded`: the size of a recording that nobody watches."""
    if recorded is None:
        return Console(file=file, highlight=False)
    width, height = recorded
    return Console(
        file=file,
        width=width,
        height=height,
        force_terminal=True,
        color_system="256",
        highlight=False,
    )


def _append(text: Text, row: Row) -> None:
    for span in row:
        text.append(span.text, LOOKS.get(span.look, ""))
