"""Where relayed datagrams land to become a batch: end to end in one buffer, as from a UDP socket."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from node.core.rows import LONGEST, Rows, transport_runs

BUFFER = 2 * LONGEST  # half of it for rows, the rest for columns that reach behind the last one


class Landing:
    def __init__(self, counters: Counter[str] | None = None) -> None:
        self.counters = Counter[str]() if counters is None else counters
        self._buffer = bytearray()  # made when the first one lands: most nodes end up direct

    def lay(self, datagrams: Sequence[bytes]) -> Iterator[tuple[int | None, Rows]]:
        """Runs as `transport_runs` has them; each is good until the next one."""
        if not self._buffer:
            self._buffer = bytearray(BUFFER)
        sizes, begin = list(map(len, datagrams)), 0
        while begin < len(sizes):
            size, end = sizes[begin], begin + 1
            most = min(len(sizes), begin + max(1, LONGEST // max(1, size)))
            while end < most and sizes[end] == size:
                end += 1
            if end < most and sizes[end] < size:
                end += 1
            yield from self._land(datagrams[begin:end])
            begin = end

    def _land(self, run: Sequence[bytes]) -> Iterator[tuple[int | None, Rows]]:
        if not run[0] or len(run[0]) > LONGEST:  # what a relay that keeps to its limit never brings
            self.counters["relayed_wrong_size"] += len(run)
            return
        joined = b"".join(run)
        self._buffer[: len(joined)] = joined
        yield from transport_runs(Rows(self._buffer, 0, len(joined), len(run[0])))
