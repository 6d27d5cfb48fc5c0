"""When each connection's phase ends, or its next keepalive is due: one heap for all of them."""

from __future__ import annotations

import heapq
import itertools

from node.core.relay_link import Link, Phase


class RelayTimers:
    """A timer that was set anew, or whose link is gone, stays in the heap until it comes up."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Link]] = []
        self._order = itertools.count()

    def set(self, link: Link, when: float) -> None:
        link.timer = when
        heapq.heappush(self._heap, (when, next(self._order), link))

    @property
    def deadline(self) -> float | None:
        while self._heap and not self._is_due(*self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Link | None:
        """One whose time has come; it is up to the caller to set its next."""
        deadline = self.deadline
        return heapq.heappop(self._heap)[2] if deadline is not None and deadline <= now else None

    @staticmethod
    def _is_due(when: float, _order: int, link: Link) -> bool:
        return link.timer == when and link.phase not in (Phase.GONE, Phase.VERIFY)
