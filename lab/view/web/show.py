"""The show: items of a lab come in from the feed's threads, moments go out to the viewers.

A moment is taken as soon as something came, but not sooner than `PACE` after the last one: so a page is at
most that much behind, and a flood of packets costs no more than a trickle.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import TypeAlias

from lab.errors import LabError
from lab.model.beat import Beat
from lab.model.events import Event, Other
from lab.model.plan import Plan
from lab.model.sighting import Sighting
from lab.view.scene import HOLD, Scene
from lab.view.web.history import History
from lab.view.web.moments import Looker
from lab.view.web.viewers import Viewers

Item: TypeAlias = Event | Sighting | Beat
Sketch: TypeAlias = Callable[[], tuple[object, Plan]]

PACE = 0.05  # seconds
REDRAWN_AFTER = ("nat", "link", "move")  # events that change what the drawing says


class Show:
    def __init__(self, plan: Plan, sketch: Sketch) -> None:
        """`sketch` draws the lab as it is now, and gives its plan; it may take a while, or raise LabError."""
        self.viewers = Viewers()
        self.history = History()
        self._sketch = sketch
        self._scene = Scene(plan)
        self._looker = Looker(self._scene)
        self._loop = asyncio.get_running_loop()
        self._is_new = asyncio.Event()
        self._is_stale = True
        self._is_over = False

    def put(self, item: Item | None) -> None:
        """From any thread; None: the lab is gone."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody looks on any more
            self._loop.call_soon_threadsafe(self._take, item)

    def _take(self, item: Item | None) -> None:
        self._is_new.set()
        if item is None:
            self._is_over = True
            return
        self._scene.take(item)
        if isinstance(item, Beat):
            self._looker.take_beat(item)
        if isinstance(item, Other) and item.event in REDRAWN_AFTER:
            self._is_stale = True

    async def run(self) -> None:
        """Returns when the lab is gone."""
        while not self._is_over:
            self._look()
            if self._is_stale:
                await self._redraw()
            await asyncio.sleep(PACE)
            with contextlib.suppress(TimeoutError):  # what has ended is seen too
                async with asyncio.timeout(HOLD / 2):
                    await self._is_new.wait()
            self._is_new.clear()
        self._look()
        self.viewers.send(event("over", "{}"))
        self.viewers.send(None)

    def _look(self) -> None:
        if moment := self._looker.look(time.monotonic()):
            self.viewers.send(event("moment", self.history.add(moment)))

    async def _redraw(self) -> None:
        self._is_stale = False
        with contextlib.suppress(LabError, OSError):  # on its way down; the events tell
            drawing, plan = await asyncio.to_thread(self._sketch)
            self._looker.drawing = drawing
            self._scene.replan(plan)
            self._is_new.set()

    def greeting(self) -> bytes:
        """What a viewer is told first: all that is known, and which time it is."""
        clock = event("clock", f'{{"now":{time.monotonic()}}}')
        return clock + event("all", self.history.told())


def event(name: str, data: str) -> bytes:
    """One server-sent event (HTML Living Standard §9.2); JSON in one line is one `data`."""
    return f"event: {name}\ndata: {data}\n\n".encode()
