"""One ping of an endless stream: when it left, and how long its reply took."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Beat:
    seq: int
    sent: float  # seconds, CLOCK_MONOTONIC
    at: float  # when its reply came, or when it was given up
    rtt_ms: float | None = None  # None: lost


def to_line(beat: Beat) -> str:
    return json.dumps(asdict(beat))


def parse_line(line: str | bytes) -> Beat:
    return Beat(**json.loads(line))
