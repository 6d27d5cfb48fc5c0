"""What a relay's process, its sockets and its STUN servers can tell of themselves, as metrics."""

from __future__ import annotations

import os
import resource
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence

from node.core.metrics import Histogram, Metric, gauge
from node.io.loop import Loop
from node.io.stun_server import StunServer

DISPOSITIONS = ("success", "read_error", "not_stun", "write_error")
FAMILIES = ("ipv4", "ipv6")
SAMPLE_EVERY = 10.0  # seconds; a thousand connections take some 1 ms
RTT_BOUNDS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # seconds
TCPI_RTT = struct.Struct("=68xI")  # struct tcp_info: tcpi_rtt, microseconds


class RelayNumbers:
    def __init__(
        self, loop: Loop, stun: Sequence[StunServer],
        connections: Callable[[], Iterable[socket.socket]],
    ) -> None:  # fmt: skip
        self._loop, self._stun, self._connections = loop, stun, connections
        self._rtt = Histogram(RTT_BOUNDS)
        self._at_start = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        self._sample_later()

    def metrics(self) -> Iterator[Metric]:
        yield gauge("derp_gauge_memstats_sys0", self._at_start)
        yield gauge("derp_gauge_current_file_descriptors", len(os.listdir("/proc/self/fd")) - 1)
        yield Metric("derp_version", "gauge", {f'{{version="{_version()}"}}': 1})
        samples: dict[str, float] = {f'{{le="{le}"}}': n for le, n in self._rtt.buckets()}
        yield Metric("derp_counter_tcp_rtt", "counter", samples)
        yield self._stun_metric("stun_counter_requests", "disposition", DISPOSITIONS)
        yield self._stun_metric("stun_counter_addrfamily", "family", FAMILIES)

    def sample(self) -> None:
        """One round trip time of each connection, as the kernel has measured it."""
        for sock in self._connections():
            try:
                info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCPI_RTT.size)
            except OSError:  # just gone
                continue
            self._rtt.count(TCPI_RTT.unpack(info)[0] / 1e6)

    def _stun_metric(self, name: str, label: str, words: Sequence[str]) -> Metric:
        samples: dict[str, float] = {
            f'{{{label}="{word}"}}': sum(each.counters[word] for each in self._stun)
            for word in words
        }
        return Metric(name, "counter", samples)

    def _sample_later(self) -> None:
        def due() -> None:
            self.sample()
            self._sample_later()

        self._loop.at(self._loop.now() + SAMPLE_EVERY, due)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # late: it takes some 20 ms

    try:
        return version("punchlab")
    except PackageNotFoundError:  # run from a folder
        return "unknown"
