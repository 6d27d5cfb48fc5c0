"""Those who look on. Each has a queue of its own, and nobody waits for anybody.

A viewer that stops reading fills its queue, and is hung up on. Its browser connects again when it reads on,
and gets all there is to know afresh: that is the resync.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

BEHIND = 200  # moments that a viewer may be behind: some ten seconds


class Viewer:
    def __init__(self, hang_up: Callable[[], None]) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(BEHIND)
        self._hang_up = hang_up

    def send(self, message: bytes | None) -> bool:
        """False: it is too far behind."""
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            self._hang_up()
            return False
        return True

    async def messages(self) -> AsyncIterator[bytes]:
        while (message := await self._queue.get()) is not None:
            yield message


class Viewers:
    def __init__(self) -> None:
        self._present: list[Viewer] = []
        self.hung_up_on = 0  # how many were too far behind

    def __len__(self) -> int:
        return len(self._present)

    @contextmanager
    def joined(self, hang_up: Callable[[], None]) -> Iterator[Viewer]:
        viewer = Viewer(hang_up)
        self._present.append(viewer)
        try:
            yield viewer
        finally:
            if viewer in self._present:
                self._present.remove(viewer)

    def send(self, message: bytes | None) -> None:
        """To everybody; None is the end."""
        kept = [viewer for viewer in self._present if viewer.send(message)]
        self.hung_up_on += len(self._present) - len(kept)
        self._present = kept
