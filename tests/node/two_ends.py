"""Two nodes' paths, two NATs and the delays between them, in memory, on a clock that jumps.

The clock goes exactly to the next arrival or the next deadline, so a deadline that is too late, or
that a tick does not move, shows. A relayed message takes 20 ms, a direct one 10 ms. An end that gets
data and says nothing for 10 s sends a keepalive, as WireGuard does.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from node.core.paths import (
    Direct,
    Output,
    Path,
    PathChanged,
    Paths,
    Relayed,
    Route,
    SendCallMeMaybe,
    SendPing,
    SendPong,
)
from node.core.ways import Way, first_hop
from node.wire.endpoint import Endpoint

RELAY_DELAY = 0.020
DIRECT_DELAY = 0.010
PORT = 41641
KEEPALIVE_AFTER = 10.0
KEEPALIVE = 0


def counter_as_dice(start: int) -> Callable[[int], bytes]:
    numbers = itertools.count(start)
    return lambda size: next(numbers).to_bytes(size)


@dataclass
class Nat:
    """Filters by address and port; the mapping is one for all destinations, or one for each."""

    address: str
    symmetric: bool = False
    timeout: float = 30.0
    _ports: dict[Endpoint | None, int] = field(default_factory=dict)
    _open: dict[tuple[int, Endpoint], float] = field(default_factory=dict)

    def out(self, to: Endpoint, now: float) -> Endpoint:
        key = to if self.symmetric else None
        port = self._ports.setdefault(key, PORT + 1000 * len(self._ports))
        self._open[port, to] = now
        return Endpoint(self.address, port)

    def lets_in(self, source: Endpoint, port: int, now: float) -> bool:
        opened = self._open.get((port, source))
        if opened is None or now > opened + self.timeout:
            return False
        self._open[port, source] = now
        return True

    def forget(self) -> None:
        self._open.clear()


@dataclass
class End:
    name: str
    nat: Nat
    paths: Paths
    endpoints: tuple[Endpoint, ...]  # what it tells the peer
    history: list[tuple[float, Path]] = field(default_factory=list)
    whys: list[str] = field(default_factory=list)
    pings: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    received: list[tuple[float, int]] = field(default_factory=list)  # when, and which
    sent: int = 0
    sent_at: float = 0.0
    keepalive_due: float | None = None

    @property
    def kinds(self) -> list[str]:
        """The path's kinds, without repetitions, from the beginning."""
        kinds = ["relay"] + [
            "direct" if isinstance(p, Direct) else "relay" for _, p in self.history
        ]
        return [kind for kind, _ in itertools.groupby(kinds)]


class Pair:
    def __init__(self, *, alice: Nat | None = None, bob: Nat | None = None) -> None:
        self.now = 100.0
        self.alice = self._end("alice", alice or Nat("203.0.113.10"), 1)
        self.bob = self._end("bob", bob or Nat("203.0.113.20"), 1 << 40)
        self.cut: set[str] = set()  # whose direct datagrams are lost
        self.relay_cut = False
        self.direct_delay, self.relay_delay = DIRECT_DELAY, RELAY_DELAY
        self.swallows_data = False  # on the direct way, and lets disco pass
        self.loses: Callable[[], bool] = lambda: False
        self._order = itertools.count()
        self._arrivals: list[tuple[float, int, Callable[[], None]]] = []

    def _end(self, name: str, nat: Nat, dice: int) -> End:
        server = Endpoint("198.51.100.1", 3478)
        seen_as = nat.out(server, self.now)
        return End(name, nat, Paths(random=counter_as_dice(dice)), (seen_as,))

    def other(self, end: End) -> End:
        return self.bob if end is self.alice else self.alice

    # --- time ---

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while (next_at := self._next()) is not None and next_at <= until:
            self.now = max(self.now, next_at)
            if self._arrivals and self._arrivals[0][0] <= self.now:
                heapq.heappop(self._arrivals)[2]()
            else:
                self._tick()
        self.now = until

    def _next(self) -> float | None:
        times = [self._arrivals[0][0]] if self._arrivals else []
        deadlines = (end.paths.deadline for end in (self.alice, self.bob))
        return min([*times, *(t for t in deadlines if t is not None)], default=None)

    def _tick(self) -> None:
        for end in (self.alice, self.bob):
            if end.paths.deadline is not None and end.paths.deadline <= self.now:
                self.carry_out(end, end.paths.tick(self.now))
                assert end.paths.deadline is None or end.paths.deadline > self.now

    def send_every(self, gap: float, seconds: float, *, ends: tuple[End, ...]) -> None:
        until = self.now + seconds
        while self.now < until:
            for end in ends:
                self.send(end)
            self.run(gap)

    # --- what travels ---

    def send(self, end: End) -> Route:
        end.sent += 1
        end.sent_at = self.now
        route, outputs = end.paths.data_sent(self.now)
        self.carry_out(end, outputs)
        self._transmit(end, route, end.sent)
        return route

    def _transmit(self, end: End, route: Route, number: int) -> None:
        peer = self.other(end)
        if route.direct is not None and not self.swallows_data:
            self._direct(end, route.direct, lambda source: self._data(peer, source, number))
        if route.relay:
            self._relayed(lambda: self._data(peer, None, number))

    def _data(self, end: End, source: Endpoint | None, number: int) -> None:
        if number != KEEPALIVE:
            self._note(end, number)
        self.carry_out(end, end.paths.data_received(source, self.now))

    def _note(self, end: End, number: int) -> None:
        if number not in [n for _, n in end.received[-50:]]:
            end.received.append((self.now, number))
        if end.keepalive_due is None:
            end.keepalive_due = self.now + KEEPALIVE_AFTER
            self._later(KEEPALIVE_AFTER, lambda: self._keep_alive(end))

    def _keep_alive(self, end: End) -> None:
        end.keepalive_due = None
        if end.sent_at >= self.now - KEEPALIVE_AFTER:
            return
        path = end.paths.path
        if isinstance(path, Direct):
            route = Route(path.endpoint, relay=not end.paths.trusted(self.now))
        else:
            route = Route(None, relay=True)
        self._transmit(end, route, KEEPALIVE)

    def carry_out(self, end: End, outputs: list[Output]) -> None:
        for output in outputs:
            self._carry_out(end, output)

    def _carry_out(self, end: End, output: Output) -> None:
        peer = self.other(end)
        match output:
            case SendPing(to, txid):
                end.pings.append(self.now)
                self._direct(end, to, lambda source: self._ping(peer, txid, source))
            case SendPong(to, txid):
                self._direct(end, to, lambda _: self._pong(peer, txid))
            case SendCallMeMaybe():
                end.calls.append(self.now)
                endpoints = end.endpoints
                self._relayed(lambda: self._call(peer, endpoints))
            case PathChanged(path, why, _):
                end.history.append((self.now, path))
                end.whys.append(why)

    def _ping(self, end: End, txid: bytes, source: Endpoint) -> None:
        self.carry_out(end, end.paths.receive_ping(txid, source, self.now))

    def _pong(self, end: End, txid: bytes) -> None:
        self.carry_out(end, end.paths.receive_pong(txid, self.now))

    def _call(self, end: End, endpoints: tuple[Endpoint, ...]) -> None:
        self.carry_out(end, end.paths.receive_call_me_maybe(endpoints, self.now))

    def _direct(self, end: End, way: Way, arrive: Callable[[Endpoint], None]) -> None:
        to = first_hop(way)
        source = end.nat.out(to, self.now)
        peer = self.other(end)
        if end.name in self.cut or to.address != peer.nat.address or self.loses():
            return
        self._later(self.direct_delay, lambda: self._through(peer, source, to, arrive))

    def _through(
        self, peer: End, source: Endpoint, to: Endpoint, arrive: Callable[[Endpoint], None]
    ) -> None:
        if peer.nat.lets_in(source, to.port, self.now):
            arrive(source)

    def _relayed(self, arrive: Callable[[], None]) -> None:
        if not self.relay_cut:
            self._later(self.relay_delay, arrive)

    def _later(self, delay: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._arrivals, (self.now + delay, next(self._order), call))


RELAYED = Relayed()
