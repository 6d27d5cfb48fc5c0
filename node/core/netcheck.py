"""How the internet sees us: our public endpoints, what kind of NAT, which relay is nearest.

STUN requests go from the node's own UDP sockets to the servers of every relay region, three tries
100 ms apart. Two servers that see us come from different ports mean that the NAT's mapping varies by
destination. A run ends when every server has answered, or after 3 s: no answer at all is "UDP blocked".
A relay that opens only then (it came up later than we did) is asked again.

Where nothing has answered after 1 s the relays are asked by HTTPS as well: UDP may never pass here, and
a home has to be chosen all the same, by whatever passes.

While the node is in use it runs again every 20..26 s: a NAT forgets an idle mapping after 30 s. A run that
nobody answered, by UDP or HTTPS, says nothing of the network, and is repeated sooner.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from node.core.netcheck_outputs import (
    AskByHttps,
    EndpointLearned,
    NetcheckDone,
    Output,
    Report,
    SendStun,
)
from node.core.port_prediction import next_endpoints
from node.wire import stun
from node.wire.endpoint import Endpoint
from node.wire.malformed import Malformed

TRIES = 3
TRY_GAP = 0.1  # s
UDP_BLOCKED_AFTER = 3.0  # s without an answer
HTTPS_AFTER = 1.0  # s without an answer; the rest of the run is enough for TCP, TLS and a request
ENOUGH = 0.3  # s after the last try and the first answer: what is silent then stays silent
RERUN_FROM, RERUN_SPREAD = 20.0, 6.0  # s; random, so that a fleet of nodes does not ask in step
RERUN_DEAF = 5.0  # s after the end of a run without any answer
REMEMBER_LATENCY = 305.0  # s; five minutes and a little: one slow answer does not move the home
ENDPOINT_LIFETIME = 310.0  # s that an endpoint once seen is still offered to peers
FRESH = 27.0  # s; just over the longest time between two runs
CLOSER_BY = 0.010  # s and
CLOSER_SHARE = 2 / 3  # of the old home's latency: less does not pay for moving there


class Probe(Struct):
    """One server of this run."""

    region: int
    server: Endpoint
    tries: int = 0
    due: float | None = None  # of the next try
    seen_as: Endpoint | None = None


class Measured(Struct, frozen=True):
    """A region's latency (s), at a time."""

    region: int
    latency: float
    at: float


class Netcheck:
    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self.report: Report | None = None  # the last one
        self.report_at = -math.inf
        self.counters: Counter[str] = Counter()
        self.deadline: float | None = None
        self._regions: dict[int, tuple[Endpoint, ...]] = {}
        self._probes: list[Probe] = []
        self._sent: dict[bytes, tuple[Probe, float]] = {}
        self._asked_at = -math.inf
        self._answered_at: float | None = None
        self._https_at: float | None = None  # when to ask by HTTPS; None: no more in this run
        self._latency: dict[int, float] = {}
        self._by_https: dict[int, float] = {}
        self._history: list[Measured] = []
        self._endpoints: dict[Endpoint, float] = {}  # and when each was last seen
        self._rerun_at = math.inf
        self._active = False

    # --- what happens ---

    def start(self, regions: Mapping[int, Sequence[Endpoint]], now: float) -> list[SendStun]:
        """A new run, now; one that is under way is given up."""
        self._regions = {region: tuple(servers) for region, servers in regions.items()}
        return self._start(now)

    def has_answered(self, region: int) -> bool:
        """In the run under way or, between two, in the last one. A region without servers need not."""
        return region in self._latency or not self._regions.get(region)

    def ask_again(self, region: int, now: float) -> list[SendStun]:
        """Its servers can be reached after all: what was asked before may never have got there."""
        if not self.running:
            return self._start(now)
        for probe in self._probes:
            if probe.region == region and not probe.seen_as:
                probe.tries, probe.due = 0, probe.due or now
        self._asked_at, self._https_at = now, now + HTTPS_AFTER
        sends = self._send_due(now)
        self._reschedule()
        return sends

    def set_active(self, active: bool, now: float) -> list[Output]:
        """Whether somebody uses a path; only then the runs are repeated."""
        became_active = active and not self._active
        self._active = active
        if became_active and self._regions and not self.running and not self.fresh(now):
            return list(self._start(now))
        self._reschedule()
        return []

    def receive_stun(self, datagram: bytes, source: Endpoint, now: float) -> list[Output]:
        try:
            txid, endpoint = stun.parse_response(datagram)
        except Malformed:
            self.counters["stun_malformed"] += 1
            return []
        probe, sent_at = self._sent.get(txid, (None, 0.0))
        if probe is None or probe.server != source:
            self.counters["stun_unasked"] += 1
            return []
        del self._sent[txid]
        self._answered(probe, endpoint, now - sent_at, now)
        outputs = self.learn(endpoint, now)
        if self.running and all(p.seen_as for p in self._probes):
            outputs.append(self._finish(now))
        self._reschedule()
        return outputs

    def receive_https(self, region: int, latency: float) -> None:
        """It counts if nothing comes by UDP."""
        if self.running:
            self._by_https[region] = latency

    def learn(self, endpoint: Endpoint, now: float) -> list[Output]:
        """Somebody saw us there: a STUN server, or a peer that answered a ping."""
        known = now < self._endpoints.get(endpoint, -math.inf) + ENDPOINT_LIFETIME
        self._endpoints[endpoint] = now
        return [] if known else [EndpointLearned(endpoint)]

    def forget(self) -> None:
        """Our link is another one: what was seen over the old one holds no longer."""
        self._endpoints.clear()
        self._history.clear()
        self.report_at = -math.inf

    def tick(self, now: float) -> list[Output]:
        outputs: list[Output] = []
        if self.running and now >= self._ends_at:
            outputs.append(self._finish(now))
        if now >= self._rerun_at and self._active and not self.running:
            outputs += self._start(now)
        outputs += [*self._send_due(now), *self._ask_by_https(now)]
        self._reschedule()
        return outputs

    # --- what is known ---

    @property
    def running(self) -> bool:
        return bool(self._probes)

    def fresh(self, now: float) -> bool:
        """Whether the endpoints may be told to a peer as they are."""
        return now < self.report_at + FRESH

    def endpoints(self, now: float) -> list[Endpoint]:
        """Where we have been seen from outside, the latest first."""
        alive = [(at, e) for e, at in self._endpoints.items() if now < at + ENDPOINT_LIFETIME]
        return [endpoint for _, endpoint in sorted(alive, reverse=True)]

    def guesses(self, now: float) -> tuple[Endpoint, ...]:
        """Where a NAT that counts its ports up may show us to the next peer."""
        report = self._lately(now)
        return report.guesses if report else ()

    def mapping_varies(self, now: float) -> bool:
        """Whether it is known to: then no server can say where others find us."""
        report = self._lately(now)
        return report is not None and report.mapping_varies is True

    def _lately(self, now: float) -> Report | None:
        return self.report if now < self.report_at + ENDPOINT_LIFETIME else None

    # --- one run ---

    def _start(self, now: float) -> list[SendStun]:
        self._probes = [
            Probe(r, s, due=now) for r, servers in self._regions.items() for s in servers
        ]
        self._sent.clear()
        self._latency, self._by_https = {}, {}
        self._asked_at, self._answered_at, self._https_at = now, None, now + HTTPS_AFTER
        self._rerun_at = now + RERUN_FROM + RERUN_SPREAD * self._random(1)[0] / 256
        sends = self._send_due(now)
        self._reschedule()
        return sends

    def _send_due(self, now: float) -> list[SendStun]:
        sends = []
        for probe in self._probes:
            if probe.due is not None and probe.due <= now:
                txid = self._random(stun.TXID_SIZE)
                self._sent[txid] = (probe, now)
                probe.tries += 1
                probe.due = now + TRY_GAP if probe.tries < TRIES else None
                sends.append(SendStun(probe.server, stun.request(txid)))
        return sends

    def _ask_by_https(self, now: float) -> list[AskByHttps]:
        if self._answered_at is not None or self._https_at is None or now < self._https_at:
            return []
        self._https_at = None
        return [AskByHttps(region) for region in self._regions if self.running]

    def _answered(self, probe: Probe, endpoint: Endpoint, latency: float, now: float) -> None:
        probe.seen_as, probe.due = endpoint, None
        best = min(latency, self._latency.get(probe.region, latency))
        self._latency[probe.region] = best
        self._history.append(Measured(probe.region, latency, now))
        if self._answered_at is None:
            self._answered_at = now

    @property
    def _ends_at(self) -> float:
        """With answers there, the silent servers are waited for a little; without, much longer."""
        if self._answered_at is None:
            return self._asked_at + UDP_BLOCKED_AFTER
        last_try = self._asked_at + TRIES * TRY_GAP
        return max(last_try, self._answered_at) + ENOUGH

    def _finish(self, now: float) -> NetcheckDone:
        seen = [probe.seen_as for probe in self._probes if probe.seen_as]
        by_https = {} if seen else self._by_https
        self._history += [Measured(region, each, now) for region, each in by_https.items()]
        self._history = [m for m in self._history if now < m.at + REMEMBER_LATENCY]
        latency = by_https or self._latency
        report = Report(
            udp=bool(seen),
            ipv4=next((e for e in seen if not e.is_ipv6), None),
            ipv6=next((e for e in seen if e.is_ipv6), None),
            mapping_varies=_varies(self._probes),
            guesses=next_endpoints(_seen_from(self._probes)),
            latency=dict(latency),
            preferred=self._preferred(latency),
        )
        self._probes = []
        if not latency:
            self._rerun_at = min(self._rerun_at, now + RERUN_DEAF)
        self.report, self.report_at = report, now
        return NetcheckDone(report)

    def _preferred(self, latency: Mapping[int, float]) -> int | None:
        """The nearest region over the last minutes; the old home unless the new one is much nearer."""
        old = self.report.preferred if self.report else None
        if not latency:
            return old
        lately = dict(latency)  # of this run, which may have begun before a long sleep
        for each in self._history:
            if each.region in lately:
                lately[each.region] = min(lately[each.region], each.latency)
        new = min(lately, key=lambda region: (lately[region], region))
        if old not in lately:
            return new
        much_nearer = (
            lately[old] - lately[new] >= CLOSER_BY and lately[new] <= CLOSER_SHARE * lately[old]
        )
        return new if much_nearer else old

    def _reschedule(self) -> None:
        if self.running:
            times = [self._ends_at, *(p.due for p in self._probes if p.due is not None)]
            if self._https_at is not None and self._answered_at is None:
                times.append(self._https_at)
        else:
            times = [self._rerun_at] if self._active and self._rerun_at < math.inf else []
        self.deadline = min(times, default=None)


def _varies(probes: Sequence[Probe]) -> bool | None:
    """Whether the NAT shows one socket as several: needs answers from two different addresses."""
    seen = _seen_from(probes)
    return len(set(seen)) > 1 if len(seen) > 1 else None


def _seen_from(probes: Sequence[Probe]) -> list[Endpoint]:
    """As what each address of a server saw us, IPv4."""
    seen = {p.server.address: p.seen_as for p in probes if p.seen_as and not p.seen_as.is_ipv6}
    return list(seen.values())
