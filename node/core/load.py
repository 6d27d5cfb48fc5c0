"""When handshakes are too many, and how many each source then gets (WireGuard paper §5.3).

A burst within one second switches "under load" on, for a second after the last busy moment. Only then
are cookies asked for and sources counted; in quiet times this costs two comparisons a handshake.
"""

from __future__ import annotations

from node.core.limits import (
    HANDSHAKE_BURST,
    HANDSHAKES_PER_SECOND,
    LOAD_HANDSHAKES,
    LOAD_LASTS,
    SOURCES_REMEMBERED,
)


class LoadMeter:
    def __init__(self) -> None:
        self._second = float("-inf")
        self._count = 0
        self._loaded_until = float("-inf")

    def handshake_received(self, now: float) -> bool:
        """Counts one more; True while we are under load."""
        if now - self._second >= 1.0:
            self._second, self._count = now, 0
        self._count += 1
        if self._count > LOAD_HANDSHAKES:
            self._loaded_until = now + LOAD_LASTS
        return now < self._loaded_until


class RateLimiter:
    """A token bucket for each source. Sources whose bucket is full again are forgotten."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}  # source: tokens, when

    def __len__(self) -> int:
        return len(self._buckets)

    def allow(self, source: str, now: float) -> bool:
        tokens = min(HANDSHAKE_BURST, self._tokens(source, now))
        allowed = tokens >= 1.0
        if source not in self._buckets:
            self._make_room(now)
        self._buckets[source] = (tokens - 1.0 if allowed else tokens, now)
        return allowed

    def _tokens(self, source: str, now: float) -> float:
        tokens, then = self._buckets.get(source, (HANDSHAKE_BURST, now))
        return tokens + (now - then) * HANDSHAKES_PER_SECOND

    def _make_room(self, now: float) -> None:
        if len(self._buckets) < SOURCES_REMEMBERED:
            return
        full = [s for s in self._buckets if self._tokens(s, now) >= HANDSHAKE_BURST]
        for source in full or list(self._buckets)[: SOURCES_REMEMBERED // 2]:
            del self._buckets[source]
