"""The relays of all regions, as one node uses them: which is home, which to dial, what waits.

A node is reachable because it keeps one connection, to its *home* relay, and one to the relay where
the netmap says it is, if that is another one; it dials the home regions of its peers when it has packets
for them, and lets those go after a minute without any.

    idle --packets, home--> dialling --> up --lost--> waiting (back-off) --> dialling

Packets for a relay that is not up yet wait in a short queue, the oldest giving way: what waits
longer than that was lost to the application anyway.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TypeAlias

from msgspec import Struct, field

from node.core.actions import (
    Action,
    CloseRelay,
    ConnectRelay,
    PreferRelay,
    ProbeRelay,
    SendRelay,
)
from node.keys import NodePublic

QUEUE = 32  # packets, as the relays' own queues
IDLE_CLOSE = 60.0  # seconds since the last packet sent; never the home
BACKOFF_FIRST, BACKOFF_MOST = 0.1, 5.0  # seconds, doubling between
BACKOFF_REFUSED = (
    30.0  # at most, after a wrong certificate: somebody has to change something, be it
)
# that a person signs in at a captive portal, which shows its own
SLOW_DIAL = 1.0  # seconds; longer than that, another region is tried as home meanwhile
STABLE = 8.0  # seconds up before a region that had failed is home again: by then, longer than the
# longest back-off, its other clients are back as well
STALE = 3.0  # seconds in the queue; what is older the application has sent again or given up
UNANSWERED = 0.7  # seconds of sending without hearing anything: ask whether the relay is alive
SILENT = (
    0.5  # seconds without an answer to that: longer than any round trip to a relay worth having
)


class Idle(Struct, frozen=True):
    """Not wanted now."""


class Dialling(Struct, frozen=True):
    """A connection is being made."""

    since: float
    is_slow: bool = False


class Up(Struct, frozen=True):
    """Packets pass."""

    since: float


class Waiting(Struct, frozen=True):
    """It was lost; the next attempt comes then."""

    until: float


State: TypeAlias = Idle | Dialling | Up | Waiting


class _Relay(Struct):
    """A region: its connection, and what waits for it."""

    region: int
    state: State = field(default_factory=Idle)
    queue: deque[tuple[NodePublic, bytes, float]] = field(
        default_factory=lambda: deque(maxlen=QUEUE)
    )
    failures: int = 0
    used: float = float("-inf")
    unanswered_since: float | None = None
    probed: bool = False

    def is_failing(self, now: float) -> bool:
        match self.state:
            case Up(since):
                return self.failures > 0 and now < since + STABLE
            case Dialling(_, is_slow):
                return self.failures > 1 or is_slow
            case Waiting():
                return self.failures > 1
        return False


class Relays:
    def __init__(self, random: Callable[[int], bytes]) -> None:
        self.home: int | None = None
        self.counters: Counter[str] = Counter()
        self._random = random
        self._relays: dict[int, _Relay] = {}
        self._order: list[int] = []  # the regions, best first
        self._listed: int | None = None

    @property
    def deadline(self) -> float | None:
        times = [each for relay in self._relays.values() for each in self._times(relay)]
        return min(times, default=None)

    def is_up(self, region: int) -> bool:
        relay = self._relays.get(region)
        return relay is not None and isinstance(relay.state, Up)

    def is_silent(self, region: int, now: float) -> bool:
        """Up, as far as TCP knows, but it does not answer: what it is given may be lost."""
        relay = self._relays.get(region)
        if relay is None or relay.unanswered_since is None or not relay.probed:
            return False
        return now >= relay.unanswered_since + UNANSWERED + SILENT

    def is_failing(self, region: int, now: float) -> bool:
        """No such region, or not one to rely on at this moment."""
        relay = self._relays.get(region)
        return relay is None or relay.is_failing(now)

    @property
    def up(self) -> list[int]:
        return [region for region in self._order if self.is_up(region)]

    @property
    def regions(self) -> list[int]:
        return list(self._order)

    def set_regions(
        self, regions: Iterable[int], now: float, listed: int | None = None
    ) -> list[Action]:
        """`listed`: the region where the netmap tells others to look for us."""
        there = list(regions)
        known = [region for region in self._order if region in there]
        first = [listed] if listed in there and listed != self._listed else []
        self._listed = listed
        self._order = list(dict.fromkeys([*first, *known, *there]))
        actions: list[Action] = []
        for region in [each for each in self._relays if each not in self._order]:
            actions += self._close(self._relays.pop(region))
        for region in self._order:
            self._relays.setdefault(region, _Relay(region))
        return actions + self._settle_home(now)

    def prefer(self, best_first: Iterable[int], now: float) -> list[Action]:
        """What a netcheck found; regions it does not name keep their order, behind."""
        named = [region for region in best_first if region in self._relays]
        self._order = list(dict.fromkeys([*named, *self._order]))
        return self._settle_home(now)

    def send(
        self, region: int, peer: NodePublic, packets: Sequence[bytes], now: float
    ) -> list[Action]:
        relay = self._relays.get(region)
        if relay is None:
            self.counters["unknown_region"] += len(packets)
            return []
        relay.used = now
        if isinstance(relay.state, Up):
            if relay.unanswered_since is None:
                relay.unanswered_since = now
            return [SendRelay(region, peer, packets)]
        overflow = len(relay.queue) + len(packets) - QUEUE
        self.counters["queue_dropped"] += max(0, overflow)
        relay.queue.extend((peer, packet, now) for packet in packets)
        return self._dial(relay, now) if isinstance(relay.state, Idle) else []

    def heard(self, region: int) -> None:
        """Anything at all came from this relay."""
        relay = self._relays.get(region)
        if relay is not None:
            relay.unanswered_since, relay.probed = None, False

    def connected(self, region: int, now: float) -> list[Action]:
        relay = self._relays.get(region)
        if relay is None:
            return [CloseRelay(region)]
        relay.state = Up(now)
        relay.unanswered_since, relay.probed = None, False
        actions: list[Action] = [PreferRelay(region, True)] if region == self.home else []
        fresh = [each for each in relay.queue if now < each[2] + STALE]
        for peer, waiting in groupby(fresh, key=itemgetter(0)):
            actions.append(SendRelay(region, peer, [packet for _, packet, _ in waiting]))
        relay.queue.clear()
        return actions + self._settle_home(now)

    def lost(self, region: int, now: float, retry: bool = True) -> list[Action]:
        relay = self._relays.get(region)
        if relay is None:
            return []
        relay.failures += 1
        most = BACKOFF_MOST if retry else BACKOFF_REFUSED
        delay = min(most, BACKOFF_FIRST * 2 ** min(relay.failures - 1, 20))
        relay.state = Waiting(now + delay * (0.75 + self._random(1)[0] / 512))
        return self._settle_home(now)

    def take_back(self, region: int, peer: NodePublic, now: float) -> list[bytes]:
        """What waits there for this peer and is not stale yet; it waits no more."""
        relay = self._relays.get(region)
        if relay is None:
            return []
        fresh = [each[1] for each in relay.queue if each[0] == peer and now < each[2] + STALE]
        left = [each for each in relay.queue if each[0] != peer]
        relay.queue.clear()
        relay.queue.extend(left)
        return fresh

    def link_changed(self, now: float) -> list[Action]:
        """Open connections may hang on an address that is gone; what waits need not wait longer."""
        actions: list[Action] = []
        for relay in self._relays.values():
            match relay.state:
                case Up():
                    actions.append(ProbeRelay(relay.region))
                case Dialling():  # by the old way; TCP would try again after seconds
                    actions += [CloseRelay(relay.region), *self._dial(relay, now)]
                case Waiting():
                    relay.failures = 0
                    actions += self._dial(relay, now)
        return actions

    def tick(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for relay in self._relays.values():
            actions += self._tick(relay, now)
        return actions + self._settle_home(now)

    def _tick(self, relay: _Relay, now: float) -> list[Action]:
        match relay.state:
            case Waiting(until) if until <= now:
                if self._wanted(relay, now):
                    return self._dial(relay, now)
                relay.state = Idle()
                relay.queue.clear()
            case Dialling(since) if now >= since + SLOW_DIAL:
                relay.state = Dialling(since, is_slow=True)
            case Up(since):
                if not self._is_kept(relay) and now >= max(since, relay.used) + IDLE_CLOSE:
                    return self._close(relay)
                if relay.failures and now >= since + STABLE:
                    relay.failures = 0
                waiting = relay.unanswered_since
                if waiting is not None and not relay.probed and now >= waiting + UNANSWERED:
                    relay.probed = True
                    return [ProbeRelay(relay.region)]
        return []

    def _times(self, relay: _Relay) -> list[float]:
        match relay.state:
            case Waiting(until):
                return [until]
            case Dialling(since, is_slow):
                return [] if is_slow else [since + SLOW_DIAL]
            case Up(since):
                times = [] if self._is_kept(relay) else [max(since, relay.used) + IDLE_CLOSE]
                times += [since + STABLE] if relay.failures else []
                if relay.unanswered_since is not None and not relay.probed:
                    times.append(relay.unanswered_since + UNANSWERED)
                return times
        return []

    @property
    def homes(self) -> tuple[int | None, int | None]:
        """Ours now, and the one at which the netmap tells others to look for us."""
        return (self.home, self._listed)

    def _is_kept(self, relay: _Relay) -> bool:
        """The home, the one that shall be home again, and where strangers look for us."""
        return relay.region in self.homes or self._order[:1] == [relay.region]

    def _wanted(self, relay: _Relay, now: float) -> bool:
        return self._is_kept(relay) or bool(relay.queue) or now < relay.used + IDLE_CLOSE

    def _settle_home(self, now: float) -> list[Action]:
        """The best region that does not fail; the best one if all do."""
        good = [each for each in self._order if not self._relays[each].is_failing(now)]
        best = next(iter(good or self._order), None)
        if best == self.home:
            return self._keep(now)
        actions: list[Action] = []
        if self.home is not None and self.is_up(self.home):
            actions.append(PreferRelay(self.home, False))
            self._relays[self.home].used = now  # the minute without packets begins
        self.home = best
        if best is not None and self.is_up(best):
            actions.append(PreferRelay(best, True))
        return actions + self._keep(now)

    def _keep(self, now: float) -> list[Action]:
        actions: list[Action] = []
        for region in dict.fromkeys(self.homes):
            relay = self._relays.get(region) if region is not None else None
            if relay is not None and isinstance(relay.state, Idle):
                actions += self._dial(relay, now)
        return actions

    def _dial(self, relay: _Relay, now: float) -> list[Action]:
        relay.state = Dialling(now)
        return [ConnectRelay(relay.region, relay.region == self.home)]

    def _close(self, relay: _Relay) -> list[Action]:
        was = relay.state
        relay.state = Idle()
        relay.queue.clear()
        return [] if isinstance(was, Idle | Waiting) else [CloseRelay(relay.region)]
