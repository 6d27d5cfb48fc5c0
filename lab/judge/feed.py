"""All that happens in a lab, in one stream: its events, what moves on its wires, and a stream of pings.

    with Feed(lab, queue.put, pair=("node-a", "node-b")):
        while (item := queue.get()) is not None:
            scene.take(item)

`put` is called from threads of the feed, one for each source, and must not wait for long; where there is a
loop, let it be `lambda item: loop.call_soon_threadsafe(inbox.put_nowait, item)`. Items of one source come in
order. `None` comes once, as the last: the lab is gone (not when the feed was closed).
"""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias

from lab.client import Lab
from lab.errors import LabError
from lab.judge import heartbeat, sightings
from lab.model import beat, sighting
from lab.model.beat import Beat
from lab.model.events import BadEvent, Event, Other, parse
from lab.model.sighting import Sighting

Item: TypeAlias = Event | Sighting | Beat
Put: TypeAlias = Callable[[Item | None], None]


class Feed:
    def __init__(
        self,
        lab: Lab,
        put: Put,
        pair: tuple[str, str] | None = None,
        interval: float = heartbeat.INTERVAL,
    ) -> None:
        """`pair`: who pings whom, every `interval` seconds; None: nobody."""
        self._lab, self._put, self._pair, self._interval = lab, put, pair, interval
        self._processes: list[subprocess.Popen[str]] = []
        self._is_open = True

    def __enter__(self) -> Self:
        plan = self._lab.plan()
        self._run(self._events)
        self._read("wires", sightings.start(self._lab, plan), sighting.parse_line)
        if self._pair:
            started = heartbeat.start(self._lab, plan, *self._pair, self._interval)
            self._read("pings", started, beat.parse_line)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._is_open = False
        for process in self._processes:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()  # type: ignore[union-attr]
        for process in self._processes:
            process.wait()

    def _run(self, body: Callable[[], None]) -> None:
        threading.Thread(target=body, daemon=True).start()

    def _read(
        self, what: str, process: subprocess.Popen[str], parse_line: Callable[[str], Item]
    ) -> None:
        def read() -> None:
            for line in process.stdout:  # type: ignore[union-attr]
                is_whole = line.endswith("\n")  # its end may have come in the middle of one
                if self._is_open and is_whole:
                    self._put(parse_line(line))
            if self._is_open and (problem := _last_words(process)):
                more = {"what": what, "problem": problem}
                self._put(Other(at=time.monotonic(), host="lab", event="unwatched", more=more))

        self._processes.append(process)
        self._run(read)

    def _events(self) -> None:
        with contextlib.suppress(LabError, OSError):
            for raw in self._lab.events(follow=True):
                if not self._is_open:
                    return
                with contextlib.suppress(BadEvent):  # a daemon may say what it likes
                    self._put(parse(raw))
        if self._is_open:
            self._put(None)


def _last_words(process: subprocess.Popen[str]) -> str:
    """What it died of; nothing if it was ended, as with the lab."""
    said = process.stderr.read().splitlines()  # type: ignore[union-attr]
    return said[-1] if process.wait() > 0 and said else ""
