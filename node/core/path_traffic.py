"""How much of the tunnel's traffic took which kind of path, in WireGuard's datagrams and bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from node.core.lane import Toll
from node.core.rows import Rows
from node.core.ways import PeerRelayed, first_hop
from node.wire.endpoint import Endpoint

MAX_WAYS = 1024  # remembered at a time
_KINDS = ("direct_ipv4", "direct_ipv6", "peer_relay_ipv4", "peer_relay_ipv6", "derp")
_SENT = {kind: (f"outbound_packets_{kind}", f"outbound_bytes_{kind}") for kind in _KINDS}
_RECEIVED = {kind: (f"inbound_packets_{kind}", f"inbound_bytes_{kind}") for kind in _KINDS}


class PathTraffic:
    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self._kinds: dict[object, str] = {}

    def sent(self, way: object, datagrams: Sequence[bytes]) -> None:
        self._count(_SENT, way, len(datagrams), sum(map(len, datagrams)))

    def sent_rows(self, way: object, batch: Sequence[Rows]) -> None:
        for rows in batch:
            self._count(_SENT, way, rows.count, rows.stop - rows.start)

    def received(self, source: object, datagrams: Sequence[bytes]) -> None:
        self._count(_RECEIVED, source, len(datagrams), sum(map(len, datagrams)))

    def received_rows(self, source: object, rows: Rows) -> None:
        self._count(_RECEIVED, source, rows.count, rows.stop - rows.start)

    def passed(self, way: object, toll: Toll) -> None:
        self._count(_SENT, way, toll.sent.count, toll.sent.size)
        self._count(_RECEIVED, way, toll.received.count, toll.received.size)

    def _count(
        self, names: dict[str, tuple[str, str]], way: object, packets: int, size: int
    ) -> None:
        kind = self._kinds.get(way)
        if kind is None:
            if len(self._kinds) >= MAX_WAYS:
                self._kinds.clear()
            kind = self._kinds[way] = _kind(way)
        packets_name, bytes_name = names[kind]
        self.counters[packets_name] += packets
        self.counters[bytes_name] += size


def _kind(way: object) -> str:
    """Of a way, or of whatever else a source may be: then it is a relay."""
    if not isinstance(way, Endpoint | PeerRelayed):
        return "derp"
    family = "ipv6" if first_hop(way).is_ipv6 else "ipv4"
    return f"peer_relay_{family}" if isinstance(way, PeerRelayed) else f"direct_{family}"
