"""What iperf3 says of a stream, or why there was none."""

from __future__ import annotations

import json
from typing import Any


class NoStream(Exception):
    """One line: what iperf3 said instead of a result."""


def received(answer: str) -> float:
    """Bits a second that arrived, the mean of both ways if there were two; `answer` is its JSON."""
    try:
        said = json.loads(answer)
    except ValueError:
        raise NoStream(f"iperf3 said {answer.strip()[:200]!r}, which is no JSON") from None
    end = said.get("end") or {}
    if "error" in said or not end:
        raise NoStream(f"iperf3: {said.get('error', 'it says nothing of the end')}")
    bits = _rates(end)
    if not bits or not all(bits):
        raise NoStream("iperf3: not one byte arrived")
    return sum(bits) / len(bits)


def _rates(end: dict[str, Any]) -> list[float]:
    """One, or with `--bidir` one for each way."""
    names = ("sum_received", "sum_received_bidir_reverse")
    return [float(end[name]["bits_per_second"]) for name in names if name in end]
