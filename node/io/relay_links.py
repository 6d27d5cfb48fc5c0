"""The open connections to relays, one a region: what the mesh wants, done with sockets.

One that leaves a ping unanswered gets a second one beside it, and the first to answer stays. So a
connection that a rebooted NAT has left half-open costs a second, and one that is only slow costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from node.core.relay_events import Event, RelayDown, RelayQuiet, RelayUp
from node.io.loop import Loop
from node.keys import NodePrivate, NodePublic
from node.netmap import DerpNode, DerpRegion

if TYPE_CHECKING:
    from node.core.http_connect import Proxy
    from node.io.latency_check import LatencyCheck
    from node.io.proxies import Proxies
    from node.io.relay_connection import RelayConnection

OVERTAKEN = "it left a ping unanswered, and a second connection was answered"

OnEvent = Callable[[int, str, Event], None]  # region, the server's name, what happened


class RelayLinks:
    def __init__(
        self, loop: Loop, private: NodePrivate, ca: str | None, on_event: OnEvent,
        proxies: Proxies | None = None, websocket: bool = False,
    ) -> None:  # fmt: skip
        self.regions: Mapping[int, DerpRegion] = {}
        self.counters: Counter[str] = Counter()  # of all connections
        self._loop, self._private, self._ca, self.on_event = loop, private, ca, on_event
        self._proxies, self._websocket = proxies, websocket
        self._open: dict[int, RelayConnection] = {}
        self._seconds: dict[int, RelayConnection] = {}  # beside one that is quiet
        self._attempts: dict[int, int] = {}
        self._checks: dict[int, LatencyCheck] = {}

    def connect(self, region: int) -> None:
        """To one of the region's servers; each further attempt tries the next one.

        One that is open, or on its way to be, stays: the first is dialled before there is a mesh.
        """
        if region in self._open:
            return
        if self._servers(region):
            self._open[region] = self._dial(region)
        else:
            down = RelayDown("the netmap has no relay server there", retry=False)
            self._loop.soon(partial(self.on_event, region, "", down))

    def measure(self, region: int, on_latency: Callable[[float], None]) -> None:
        """Seconds by HTTPS; without an answer in time nothing is called."""
        servers = self._servers(region)
        if region in self._checks or not servers:
            return
        from node.io.latency_check import LatencyCheck  # late: only where UDP does not pass

        def done(latency: float | None) -> None:
            del self._checks[region]
            if latency is not None:
                on_latency(latency)

        server = servers[0]
        self._checks[region] = LatencyCheck(self._loop, server, self._ca, self._proxy(server), done)

    def close(self, region: int) -> None:
        for connections in (self._open, self._seconds):
            connection = connections.pop(region, None)
            if connection is not None:
                connection.close()

    def close_all(self) -> None:
        for region in list(self._open):
            self.close(region)
        for check in self._checks.values():
            check.cancel()

    def sever(self, addresses: Collection[str]) -> list[int]:
        """Closes what goes out from these addresses of ours, which are gone; returns the regions."""
        severed = [r for r, each in self._open.items() if each.local_address in addresses]
        for region in severed:
            self.close(region)
        return severed

    def send(self, region: int, peer: NodePublic, packets: Sequence[bytes]) -> None:
        connection = self._open.get(region)
        if connection is not None:
            connection.send_packets(peer, packets)

    def prefer(self, region: int, home: bool) -> None:
        connection = self._open.get(region)
        if connection is not None:
            connection.note_preferred(home)

    def probe(self, region: int) -> None:
        connection = self._open.get(region)
        if connection is not None:
            connection.ping()

    def _dial(self, region: int) -> RelayConnection:
        from node.io.relay_connection import RelayConnection  # ssl: wanted only with a relay

        servers, attempt = self._servers(region), self._attempts.get(region, 0)
        self._attempts[region] = attempt + 1
        server = servers[attempt % len(servers)]

        def heard(event: Event) -> None:
            if connection is self._seconds.get(region):
                self._second_heard(region, connection, event)
            else:
                self._heard(region, server.host_name, event)

        connection = RelayConnection(
            self._loop, server, self._private, self._ca, heard,
            counters=self.counters, proxy=self._proxy(server), websocket=self._websocket,
        )  # fmt: skip
        return connection

    def _heard(self, region: int, server: str, event: Event) -> None:
        if isinstance(event, RelayQuiet):
            if region not in self._seconds and self._servers(region):
                self._seconds[region] = self._dial(region)
            return
        second = self._seconds.pop(region, None)
        if isinstance(event, RelayDown):
            self._open.pop(region, None)
            if second is not None:  # it is on its way already
                self._open[region] = second
        elif second is not None:
            second.close()  # the first one lives
        self.on_event(region, server, event)

    def _second_heard(self, region: int, second: RelayConnection, event: Event) -> None:
        """While the first is quiet: whichever answers first stays."""
        if isinstance(event, RelayDown):
            del self._seconds[region]
        elif isinstance(event, RelayUp):
            first = self._open[region]
            first.close()
            self._open[region] = self._seconds.pop(region)
            self.on_event(region, first.relay.host_name, RelayDown(OVERTAKEN, retry=True))
            self.on_event(region, second.relay.host_name, event)

    def _proxy(self, server: DerpNode) -> Proxy | None:
        return self._proxies.way_to(server.host_name) if self._proxies else None

    def _servers(self, region: int) -> list[DerpNode]:
        known = self.regions.get(region)
        return [each for each in known.nodes if not each.stun_only] if known else []
