"""The demo's clock: takes what the feed brings, and lets somebody draw some twelve times a second.

A picture shows at most `FRAME` seconds more of the lab than the one before. So where a machine is too busy
to draw in time, pictures come late, but none is left out: attempts that took 0.1 s are seen before the path
that they found.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeAlias

from lab.model.events import Other
from lab.view.scene import Item, Scene

FRAME = 0.08  # seconds
Inbox: TypeAlias = SimpleQueue[Item | None]


def play(
    scene: Scene,
    inbox: Inbox,
    tick: Callable[[float], bool],
    moved: Callable[[], None] = lambda: None,
    until: float | None = None,
) -> None:
    """Until `tick(now)` says no, the lab is gone (None came in), or it is `until` (CLOCK_MONOTONIC).

    `moved` is called when somebody's cable is in another router.
    """
    now: float | None = time.monotonic()
    while now is not None:
        now = _take(scene, inbox, now, moved)
        here = time.monotonic()
        if not tick(here if now is None else now) or (until is not None and here >= until):
            return


def _take(scene: Scene, inbox: Inbox, since: float, moved: Callable[[], None]) -> float | None:
    """What comes in a frame's time; returns what time it is in the picture, or None: there is no more."""
    end = time.monotonic() + FRAME
    while True:
        try:
            item = inbox.get(timeout=max(0.0, end - time.monotonic()))
        except Empty:
            return time.monotonic()
        if item is None:
            return None
        scene.take(item)
        if isinstance(item, Other) and item.event == "move":
            moved()
        if item.at > since + FRAME:
            return item.at
