"""What the network around us is: our own endpoints, the kind of NAT, the relays by distance.

Joins netcheck, the interfaces' addresses and what peers tell us of ourselves into two pieces of
news: `EndpointsChanged`, which the peers in use want to hear, and `RegionsRanked`, by which the home
relay is chosen.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import TypeAlias

from msgspec import Struct

from node.core import netcheck_outputs as netcheck
from node.core.actions import Event, MeasureRelay, SendUdp
from node.core.netcheck import Netcheck
from node.core.netcheck_outputs import Report
from node.core.own_endpoints import OwnEndpoints
from node.wire.endpoint import Endpoint

DOUBT_GAP = 5.0  # seconds between checks that dying paths, or one relay's coming and going, ask for


class EndpointsChanged(Struct, frozen=True):
    """Where we can be reached now; `news`: peers should be told."""

    endpoints: tuple[Endpoint, ...]
    news: bool
    """False when some only went: nothing that a peer could use."""


class RegionsRanked(Struct, frozen=True):
    """By latency."""

    best_first: tuple[int, ...]


News: TypeAlias = SendUdp | MeasureRelay | Event | EndpointsChanged | RegionsRanked


class Surroundings:
    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._netcheck = Netcheck(random)
        self._own = OwnEndpoints()
        self._servers: Mapping[int, Sequence[Endpoint]] = {}
        self._told: frozenset[Endpoint] = frozenset()
        self.codes: Mapping[int, str] = {}  # what people call the regions

        self._checked_at = -math.inf
        self._check_at = math.inf
        self._opened_at: dict[int, float] = {}  # relays that were asked because they had opened

    @property
    def deadline(self) -> float | None:
        times = (self._netcheck.deadline, self._check_at if self._check_at < math.inf else None)
        return min((each for each in times if each is not None), default=None)

    @property
    def counters(self) -> Counter[str]:
        return self._netcheck.counters

    @property
    def report(self) -> Report | None:
        return self._netcheck.report

    @property
    def local(self) -> tuple[Endpoint, ...]:
        return self._own.local

    def endpoints(self, now: float) -> list[Endpoint]:
        seen, varies = self._netcheck.endpoints(now), self._netcheck.mapping_varies(now)
        return self._own.all(seen, now, mapping_varies=varies)

    def called_at(self, now: float, guessing: bool) -> list[Endpoint]:
        """Where a peer should ping us: our endpoints, and where else a NAT that counts may show us."""
        guesses = self._netcheck.guesses(now) if guessing and not self._own.mapped else ()
        return list(dict.fromkeys([*self.endpoints(now), *guesses]))

    def set_local(self, endpoints: Iterable[Endpoint], now: float) -> list[News]:
        self._own.local = tuple(endpoints)
        return self._changes(now)

    def set_explicit(self, endpoints: Iterable[Endpoint]) -> None:
        """Where whoever runs this node says that it can be reached. To be said before `set_local`."""
        self._own.explicit = tuple(endpoints)

    def set_mapped(self, endpoint: Endpoint | None, now: float) -> list[News]:
        """The port that our router has mapped to ours."""
        self._own.mapped = endpoint
        return self._changes(now)

    def set_servers(self, servers: Mapping[int, Sequence[Endpoint]], now: float) -> list[News]:
        """The STUN servers of each region."""
        self._servers = servers
        return self.check(now)

    def link_changed(self, now: float, local: Iterable[Endpoint] | None = None) -> list[News]:
        """`local`: our addresses now; None when they are the same as before."""
        self._netcheck.forget()
        self._own.forget_learned()
        self._own.local = self._own.local if local is None else tuple(local)
        return [*self._changes(now), *self.check(now)]

    def doubt(self, now: float) -> None:
        """A path has died: perhaps our NAT shows us elsewhere now. Asked at the next tick."""
        self._check_at = min(self._check_at, max(now, self._checked_at + DOUBT_GAP))

    def relay_opened(self, region: int, now: float) -> list[News]:
        """It is there: if it has not answered yet it came up later than we did, so ask it now."""
        if self._netcheck.has_answered(region):
            return []
        if now < self._opened_at.get(region, -math.inf) + DOUBT_GAP:
            self.doubt(now)
            return []
        self._opened_at[region] = now
        return self._perform(self._netcheck.ask_again(region, now), now)

    def check(self, now: float) -> list[News]:
        """Ask the servers, now."""
        self._checked_at, self._check_at = now, math.inf
        return self._perform(self._netcheck.start(self._servers, now), now)

    def set_active(self, active: bool, now: float) -> list[News]:
        """While a path is in use the servers are asked again and again, for NATs forget."""
        return self._perform(self._netcheck.set_active(active, now), now)

    def receive_stun(self, datagram: bytes, source: Endpoint, now: float) -> list[News]:
        return self._perform(self._netcheck.receive_stun(datagram, source, now), now)

    def relay_measured(self, region: int, latency: float) -> None:
        """By HTTPS, as we asked for (`MeasureRelay`)."""
        self._netcheck.receive_https(region, latency)

    def seen_at(self, endpoint: Endpoint, now: float) -> list[News]:
        """A peer's pong says where our ping came from."""
        if ip_address(endpoint.address).is_loopback:  # the mark of a ping that came by a relay
            return []
        self._own.learn_seen(endpoint, now)
        return self._changes(now)

    def tick(self, now: float) -> list[News]:
        checked = self.check(now) if now >= self._check_at else []
        return [*checked, *self._perform(self._netcheck.tick(now), now)]

    def _perform(self, outputs: Sequence[netcheck.Output], now: float) -> list[News]:
        news: list[News] = []
        for output in outputs:
            match output:
                case netcheck.SendStun(to, datagram):
                    news.append(SendUdp([datagram], to))
                case netcheck.AskByHttps(region):
                    news.append(MeasureRelay(region))
                case netcheck.NetcheckDone(report):
                    news += [report_event(report, self.codes), RegionsRanked(ranked(report))]
                case netcheck.EndpointLearned():
                    pass  # seen below
        return [*news, *self._changes(now)]

    def _changes(self, now: float) -> list[News]:
        endpoints = self.endpoints(now)
        before, self._told = self._told, frozenset(endpoints)
        if before == self._told:
            return []
        return [
            Event("endpoints", {"endpoints": [str(each) for each in endpoints]}),
            EndpointsChanged(tuple(endpoints), news=not self._told <= before),
        ]


def ranked(report: Report) -> tuple[int, ...]:
    """The preferred region, then the others by latency; those that did not answer are not named."""
    by_latency = sorted(report.latency, key=lambda region: (report.latency[region], region))
    first = [] if report.preferred is None else [report.preferred]
    return tuple(dict.fromkeys([*first, *by_latency]))


def report_event(report: Report, codes: Mapping[int, str]) -> Event:
    latency = {codes.get(r, str(r)): round(1000 * s, 3) for r, s in report.latency.items()}
    preferred = report.preferred
    return Event(
        "netcheck",
        {
            "udp": report.udp,
            "ipv4": str(report.ipv4) if report.ipv4 else None,
            "ipv6": str(report.ipv6) if report.ipv6 else None,
            "mapping_varies": report.mapping_varies,
            "latency_ms": latency,
            "preferred": None if preferred is None else codes.get(preferred, str(preferred)),
        },
    )
