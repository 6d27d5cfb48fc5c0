"""Values in the order of their times, to be asked about any moment, past ones too."""

from __future__ import annotations

from bisect import bisect_right
from typing import Generic, TypeVar

T = TypeVar("T")


class Timeline(Generic[T]):
    """Times are seconds of one clock; what comes late is put where it belongs."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._values: list[T] = []

    def __len__(self) -> int:
        return len(self._times)

    def add(self, at: float, value: T) -> None:
        where = bisect_right(self._times, at)
        self._times.insert(where, at)
        self._values.insert(where, value)

    def last(self, now: float) -> tuple[float, T] | None:
        """The newest up to `now`, with its time."""
        where = bisect_right(self._times, now)
        return (self._times[where - 1], self._values[where - 1]) if where else None

    def up_to(self, now: float) -> list[T]:
        return self._values[: bisect_right(self._times, now)]

    def between(self, since: float, now: float) -> list[T]:
        """Later than `since`, up to `now`."""
        return self._values[bisect_right(self._times, since) : bisect_right(self._times, now)]

    def forget(self, before: float) -> None:
        where = bisect_right(self._times, before)
        del self._times[:where], self._values[:where]
