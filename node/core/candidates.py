"""The ways on which a peer may be reachable, and when each is to be pinged next.

    source          comes from                     goes when
    netmap          whoever made the netmap        the netmap no longer lists it
    call-me-maybe   the peer itself, by the relay  a later call-me-maybe leaves it out
    learned         a ping that came from it       45 s without another ping
    peer relay      our handshake with it          its lifetime without a pong

A first ping often dies at the far NAT, for the peer has not pinged us yet. So pings come as a
volley: within two seconds both ends have pinged several times and their NATs are open, in whatever
order the messages arrived. A candidate that stays silent is asked ever less often.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from msgspec import Struct

from node.core.ways import PeerRelayed, Way, first_hop
from node.wire.endpoint import Endpoint

VOLLEY = (0.1, 0.2, 0.4, 0.8, 1.5, 2.0)  # s after each of the first pings, until the next
SETTLED = 5.0  # s between later pings; an often used NAT entry lives longer than that
SETTLED_PINGS = 12  # that is a minute; then the gaps grow, for the two NATs seem to be hard ones
GROWTH = 1.25
LONGEST = 30.0  # s; a firewall may be opened at any time
PROVEN_GAP = 2.0  # s; where a direct path has been, it is looked for hard: it may be back
PROVEN_FOR = 300.0  # s; after that it was another network
LEARNED_FOR = 45.0  # s
BOUND_FOR = 300.0  # s; so long a peer relay keeps an address it hears nothing from
MOST = 64  # an address more is more likely an attack than a help
SHORT_LIFE = 10.0  # s; a path that died younger may do so again
SHORT_LIVES = 2  # that many in a row are bad luck, more are a pattern: it has to wait
LONGEST_WAIT = 10.0  # s
MUTE_WAIT = 60.0  # s, doubled each time, where pings pass and data does not
NEWEST_SHARE = 0.25  # of a measurement, in the running average of the latency
OUTLIER_SHARE = (
    0.5  # a measurement below that: what was averaged so far had waited for an ARP reply
)


class Candidate(Struct):
    """An endpoint at which the peer may be reached, and how it has behaved so far."""

    endpoint: Way
    in_netmap: bool = False
    called: bool = False
    learned_at: float | None = None
    bound_until: float = -math.inf  # of a way through a peer relay
    wanted: bool = True  # ping it as soon as possible, schedule or not
    pings: int = 0  # of this volley
    pings_sent: int = 0
    pongs: int = 0
    pings_received: int = 0
    due: float = 0.0
    pinged_at: float | None = None
    ponged_at: float | None = None
    latency: float | None = None
    avoid_until: float = -math.inf  # its pongs make no path
    short_lives: int = 0
    mute_times: int = 0

    def pinged(self, now: float) -> None:
        self.pinged_at, self.wanted = now, False
        self.pings += 1
        self.pings_sent += 1
        gap = gap_after(self.pings)
        if self.ponged_at is not None and now < self.ponged_at + PROVEN_FOR:
            gap = min(gap, PROVEN_GAP)
        self.due = now + gap

    def ponged(self, latency: float, now: float) -> None:
        self.ponged_at = now
        self.pongs += 1
        if now < self.bound_until:
            self.bound_until = now + BOUND_FOR
        old = self.latency
        if old is None or latency < OUTLIER_SHARE * old:
            old = latency
        self.latency = old + NEWEST_SHARE * (latency - old)

    def restart(self, now: float) -> None:
        self.pings, self.due = 0, now

    def fell(self, lived: float, now: float) -> None:
        """The direct path there died at that age."""
        self.short_lives = self.short_lives + 1 if lived < SHORT_LIFE else 0
        if self.short_lives > SHORT_LIVES:
            wait = 2.0 ** min(5, self.short_lives - SHORT_LIVES)
            self.avoid_until = max(self.avoid_until, now + min(LONGEST_WAIT, wait))

    def was_mute(self, now: float) -> None:
        self.avoid_until = now + MUTE_WAIT * 2.0 ** min(4, self.mute_times)
        self.mute_times += 1

    def forget(self, now: float) -> None:
        self.restart(now)
        self.wanted = True
        self.pinged_at = self.ponged_at = self.latency = None
        self.avoid_until, self.short_lives, self.mute_times = -math.inf, 0, 0
        self.bound_until = -math.inf


def gap_after(pings: int) -> float:
    """Seconds from the n-th ping to the next."""
    if pings <= len(VOLLEY):
        return VOLLEY[pings - 1]
    grown = max(0, pings - len(VOLLEY) - SETTLED_PINGS)
    return LONGEST if grown > 10 else min(LONGEST, SETTLED * GROWTH**grown)


def usable(way: Way) -> bool:
    """Link-local IPv6 is out because it needs an interface, which endpoints do not name."""
    endpoint = first_hop(way)
    address = ip_address(endpoint.address)
    nowhere = address.is_unspecified or address.is_multicast
    return endpoint.port != 0 and not nowhere and not (address.is_link_local and endpoint.is_ipv6)


class Candidates:
    def __init__(self) -> None:
        self._by_endpoint: dict[Way, Candidate] = {}

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._by_endpoint.values())

    def __len__(self) -> int:
        return len(self._by_endpoint)

    def get(self, endpoint: Way | None) -> Candidate | None:
        return None if endpoint is None else self._by_endpoint.get(endpoint)

    @property
    def called(self) -> list[Endpoint]:
        """Where the peer itself says that it is."""
        ways = (each.endpoint for each in self if each.called)
        return [each for each in ways if isinstance(each, Endpoint)]

    def set_netmap(self, endpoints: Iterable[Endpoint], now: float) -> None:
        for candidate in self:
            candidate.in_netmap = False
        for candidate in self._add_all(endpoints, now):
            candidate.in_netmap = True

    def set_called(self, endpoints: Iterable[Endpoint], now: float) -> None:
        for candidate in self:
            candidate.called = False
        for candidate in self._add_all(endpoints, now):
            candidate.called = True

    def bind(self, way: PeerRelayed, now: float) -> None:
        """Our side of a peer relay's endpoint is bound."""
        for candidate in self._add_all([way], now):
            candidate.bound_until = now + BOUND_FOR
            candidate.restart(now)
            candidate.wanted = True

    def learn(self, endpoint: Way, now: float) -> Candidate | None:
        candidate = next(iter(self._add_all([endpoint], now)), None)
        if candidate is not None:
            candidate.learned_at = now
            candidate.pings_received += 1
        return candidate

    def prune(self, now: float, keep: Way | None) -> None:
        """Forget those that no source names any longer, but never the one in use."""
        gone = [c.endpoint for c in self if c.endpoint != keep and not _named(c, now)]
        for endpoint in gone:
            del self._by_endpoint[endpoint]

    def restart(self, now: float) -> None:
        for candidate in self:
            candidate.restart(now)

    def want_all(self, but: Way | None = None) -> None:
        for candidate in self:
            candidate.wanted = candidate.endpoint != but

    def forget_history(self, now: float) -> None:
        """The link is another one: what was measured over the old one says nothing."""
        for candidate in self:
            candidate.forget(now)

    def _add_all(self, endpoints: Iterable[Way], now: float) -> list[Candidate]:
        found = []
        for endpoint in endpoints:
            candidate = self._by_endpoint.get(endpoint)
            if candidate is None and usable(endpoint) and self._make_room(now):
                candidate = self._by_endpoint[endpoint] = Candidate(endpoint, due=now)
            if candidate is not None:
                found.append(candidate)
        return found

    def _make_room(self, now: float) -> bool:
        """At the limit the longest unheard of the learned ones goes; named ones stay."""
        if len(self) < MOST:
            return True
        only_learned = [c for c in self if not c.in_netmap and not c.called and not _alive(c, now)]
        if not only_learned:
            return False
        oldest = min(only_learned, key=lambda c: c.learned_at or 0.0)
        del self._by_endpoint[oldest.endpoint]
        return True


def _named(candidate: Candidate, now: float) -> bool:
    learned = candidate.learned_at is not None and now < candidate.learned_at + LEARNED_FOR
    return candidate.in_netmap or candidate.called or learned or now < candidate.bound_until


def _alive(candidate: Candidate, now: float) -> bool:
    return candidate.ponged_at is not None and now < candidate.ponged_at + LEARNED_FOR
