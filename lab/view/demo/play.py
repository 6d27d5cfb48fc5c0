"""The demo's clock: takes what the feed brings, and lets somebody draw some twelve times a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeAlias

from lab.client import Lab
from lab.errors import LabError
from lab.model.events import Other
from lab.view.scene import Item, Scene

FRAME = 0.08  # seconds
Inbox: TypeAlias = SimpleQueue[Item | None]


def play(
    lab: Lab, scene: Scene, inbox: Inbox, tick: Callable[[float], bool], until: float | None = None
) -> None:
    """Until `tick(now)` says no, the lab is gone, or it is `until` (CLOCK_MONOTONIC)."""
    is_there = True
    while is_there:
        is_there = _take(lab, scene, inbox, time.monotonic() + FRAME)
        now = time.monotonic()
        if not tick(now) or (until is not None and now >= until):
            return


def _take(lab: Lab, scene: Scene, inbox: Inbox, until: float) -> bool:
    """All that comes in a frame's time. False: there will be no more."""
    while (left := until - time.monotonic()) > 0:
        try:
            item = inbox.get(timeout=left)
        except Empty:
            return True
        if item is None:
            return False
        scene.take(item)
        if isinstance(item, Other) and item.event == "move":
            try:
                scene.replan(lab.plan())
            except LabError:  # it ends just now
                return False
    return True
