"""Numbers as Prometheus reads them: text exposition format 0.0.4.

# TYPE derp_packets_dropped counter
derp_packets_dropped{reason="queue_head",kind="other"} 17
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct


class Metric(Struct, frozen=True):
    """One name with all its samples."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    samples: Mapping[str, float]
    """By what follows the name: labels in braces, or nothing at all."""


def counter(name: str, value: float) -> Metric:
    return Metric(name, "counter", {"": value})


def gauge(name: str, value: float) -> Metric:
    return Metric(name, "gauge", {"": value})


class Histogram:
    """Counts of values up to each bound, cumulative as Prometheus wants them."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def count(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def buckets(self) -> Iterator[tuple[str, int]]:
        """Each bound with how many values were no greater."""
        total = 0
        for bound, count in zip([*map(_number, self._bounds), "+Inf"], self._counts, strict=True):
            total += count
            yield bound, total

    def metric(self, name: str) -> Metric:
        samples: dict[str, float] = {f'_bucket{{le="{le}"}}': n for le, n in self.buckets()}
        return Metric(name, "histogram", samples | {"_sum": self._sum, "_count": sum(self._counts)})


def text(metrics: Iterable[Metric]) -> str:
    lines: list[str] = []
    for metric in metrics:
        lines.append(f"# TYPE {metric.name} {metric.kind}")
        lines += (f"{metric.name}{rest} {_number(n)}" for rest, n in metric.samples.items())
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:.15g}"
