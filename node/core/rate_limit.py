"""How much one client may send: what is over the rate is read later, so TCP slows the sender down.

The limit is a file, as real relays have it: `{"PerClientRateLimitBytesPerSec": 1000000,
"PerClientRateBurstBytes": 131072}`. No rate, or 0, is no limit.
"""

from __future__ import annotations

import json

from msgspec import Struct

from node.keys import KEY_SIZE
from node.wire.derp_framing import MAX_PACKET

MIN_BURST = KEY_SIZE + MAX_PACKET  # bytes: the longest SendPacket must fit in


class RateLimit(Struct, frozen=True):
    """What one client may send, in bytes."""

    bytes_per_second: int
    burst: int


class BadRateLimit(ValueError):
    """One line: what is wrong with the file."""


def parse_rate_limit(text: str) -> RateLimit | None:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise BadRateLimit("not JSON") from None
    if not isinstance(fields, dict):
        raise BadRateLimit("not a JSON object")
    rate = _bytes(fields, "PerClientRateLimitBytesPerSec")
    burst = _bytes(fields, "PerClientRateBurstBytes")
    return RateLimit(rate, max(burst, MIN_BURST)) if rate else None


def _bytes(fields: dict[str, object], key: str) -> int:
    value = fields.get(key, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise BadRateLimit(f"{key} is not a number of bytes")
    return value


class Meter:
    """One client's use of its limit. What it sent is sent: the debt is paid by waiting."""

    __slots__ = ("_at", "_left", "limit")

    def __init__(self, limit: RateLimit, now: float) -> None:
        self.limit = limit
        self._left: float = limit.burst
        self._at = now

    def spend(self, size: int, now: float) -> float:
        """When the next bytes may be read: now, or later."""
        earned = (now - self._at) * self.limit.bytes_per_second
        self._left = min(self.limit.burst, self._left + earned) - size
        self._at = now
        return now + max(0.0, -self._left / self.limit.bytes_per_second)
