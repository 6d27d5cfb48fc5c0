"""The paths to one peer: relayed until a pong, direct while pongs keep coming.

    we send: ping every candidate, and call-me-maybe through the relay, so that the peer does the same
       |
       v
    Relayed --- a pong to one of our pings ---> Direct --- a clearly better one's pong ---> Direct
       ^                                          |
       |                                          |  a ping unanswered: mirrored to the relay as well
       +--- three unanswered, or sending fails ---+

A third node may pass datagrams on between two that cannot meet: then PeerRelayed takes Direct's place,
proven and watched alike, while a direct path is looked for as if there were none.

Data received is evidence that the path in use is alive; it never makes one. Nothing is pinged unless
somebody uses the path: we sent data within 45 s, or the peer is looking for us right now.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable

from node.core.better import clearly_better, quality_of
from node.core.candidates import GROWTH, LONGEST, SETTLED_PINGS, Candidate, Candidates
from node.core.liveness import Liveness
from node.core.pace import Pace
from node.core.path_outputs import (
    Direct,
    Output,
    Path,
    PathChanged,
    Relayed,
    Route,
    SendCallMeMaybe,
    SendPing,
    SendPong,
    kind_of,
    path_by,
)
from node.core.ways import PeerRelayed, Way, first_hop
from node.wire.disco import TXID_SIZE
from node.wire.endpoint import Endpoint

__all__ = [
    "Direct",
    "Output",
    "Path",
    "PathChanged",
    "Paths",
    "PeerRelayed",
    "Relayed",
    "Route",
    "SendCallMeMaybe",
    "SendPing",
    "SendPong",
]

SESSION_ACTIVE = 45.0  # s after the last data sent: then nobody needs the path any longer
PING_TIMEOUT = 5.0  # s; a pong that late is of no use
PONG_LATE = 2.0  # s; such a pong tells of a process that stood still, not of a path's length
ASLEEP = 0.5  # s that a tick comes late: then we were the one that stood still
CALL_GAP = 5.0  # s between call-me-maybes, which cost the relay as much as a packet of data
PEER_LOOKS = 5.0  # s that we help a peer which looks for us, though we have nothing to send
VOLLEY_REST = 20.0  # s; a call-me-maybe restarts the volley no oftener than that
FIRST_UPGRADE = 2.0  # s after a direct path was found: the better ones' pings may have been lost
UPGRADE = 60.0  # s between looks for a better one
GOOD_ENOUGH = 0.005  # s of latency; no search improves on that
RETRY_FAILED = 1.0  # s after the system refused to send somewhere
PINGS_PER_SECOND, PING_BURST = 20, 40  # to one peer, whatever it claims to be its endpoints
TXIDS_REMEMBERED = 64
DATA_OVERHEAD = 32  # bytes of WireGuard's around a packet

RELAY = Route(None, relay=True)


class Paths:
    def __init__(
        self,
        *,
        random: Callable[[int], bytes],
        mtu: int = 1280,
        counters: Counter[str] | None = None,
    ) -> None:
        self.path: Path = Relayed()
        self.why = "no direct path found yet"
        self.rtt: float | None = None
        self.searching_since = -math.inf
        self.deadline: float | None = None
        self.counters = Counter[str]() if counters is None else counters
        self._random = random
        # As large as data: a path that small pings pass and data does not is no path.
        self._ping_size = mtu + DATA_OVERHEAD
        self.candidates = Candidates()
        self._pings: dict[bytes, tuple[Way, float]] = {}  # in the order they were sent
        self._seen: OrderedDict[bytes, None] = OrderedDict()  # txids of the peer's pings
        self._pace = Pace(rate=PINGS_PER_SECOND, burst=PING_BURST)
        self._live: Liveness | None = None
        self._alone, self._mirrored = RELAY, RELAY
        self._active_until = self._helping_until = -math.inf
        self._volley_at = -math.inf
        self._calls, self._called_at, self._call_at = 0, -math.inf, -math.inf
        self._upgrade_at = math.inf
        self._since = -math.inf  # of the direct path

    # --- what happens ---

    def add_candidates(self, endpoints: Iterable[Endpoint], now: float) -> list[Output]:
        """What the netmap lists now; what it listed before and does not any more, goes."""
        self.candidates.set_netmap(endpoints, now)
        return self._run(now)

    def receive_call_me_maybe(self, endpoints: Iterable[Endpoint], now: float) -> list[Output]:
        """The peer has just pinged us at all our endpoints, so its NAT is open for us now."""
        self.candidates.set_called(endpoints, now)
        self.candidates.want_all()
        self._helping_until = now + PEER_LOOKS
        if self._live is None and now >= self._volley_at + VOLLEY_REST:
            self._volley(now)
        answer = not self.trusted(now) and now >= self._called_at + CALL_GAP
        outputs = self._run(now)
        if answer and SendCallMeMaybe() not in outputs:  # or our NAT stays shut for the peer
            outputs += self._call(now)
        return outputs

    def add_peer_relay(self, way: PeerRelayed, now: float) -> list[Output]:
        """Our side of it is bound; a pong tells when the peer's is, too."""
        self.candidates.bind(way, now)
        self._helping_until = max(self._helping_until, now + PEER_LOOKS)
        return self._run(now)

    def receive_ping(self, txid: bytes, source: Way, now: float) -> list[Output]:
        if txid in self._seen:
            self.counters["disco_ping_repeated"] += 1
            return []
        self._remember(txid)
        outputs: list[Output] = [SendPong(source, txid)]
        candidate = self.candidates.learn(source, now)
        if self._live is None:
            self._helping_until = max(self._helping_until, now + PEER_LOOKS)
        detour = self._detour and source != self._alone.direct
        proven = not detour and self._answers(now)
        if candidate is not None and not proven and self._pace.take(now):
            outputs.append(self._ping(candidate, now))  # the way is open this very moment
        return outputs + self._run(now)

    def receive_pong(self, txid: bytes, now: float, via_relay: bool = False) -> list[Output]:
        endpoint, sent_at = self._pings.get(txid, (None, -math.inf))
        candidate = self.candidates.get(endpoint)
        if candidate is None or via_relay or now > sent_at + PING_TIMEOUT:
            self.counters["disco_pong_unasked"] += 1
            return []
        del self._pings[txid]
        latency = now - sent_at
        if latency > PONG_LATE or self._overslept(now):
            self.counters["disco_pong_late"] += 1
            candidate.wanted = True  # somebody is there: a ping at once tells how far away
            return self._run(now)
        candidate.ponged(latency, now)
        outputs: list[Output] = []
        if self._live is not None and candidate.endpoint == self._alone.direct:
            self._live.ponged(latency, now)
            self.rtt = candidate.latency
        elif self._beats_the_path(candidate, now):
            why = f"pong from {endpoint} in {1000 * latency:.1f} ms"
            outputs.append(self._use(candidate.endpoint, latency, why, now))
        return outputs + self._run(now)

    def data_sent(self, now: float) -> tuple[Route, list[Output]]:
        """Where this batch goes. Called for every batch, so the ordinary case does next to nothing."""
        was_active = now < self._active_until
        self._active_until = now + SESSION_ACTIVE
        live = self._live
        if live is None:
            return RELAY, [] if was_active else self._search(now)
        live.data_sent(now)
        if live.trusted(now):
            if not was_active:
                return self._alone, self._run(now)
            due = live.ping_due(self._active_until)
            if due is not None and (self.deadline is None or due < self.deadline):
                self.deadline = due
            return self._alone, []
        if was_active and (live.asking or not live.expired(now)):
            return self._mirrored, []
        return self._mirrored, self._search(now)

    def data_received(self, source: Way | None, now: float) -> list[Output]:
        """Authenticated data from the peer; a source of None is the relay."""
        live = self._live
        if live is None:
            return []
        if source == self._alone.direct:
            live.data_heard(now)
            return []
        if source is not None:
            return []
        if live.surely_mute(now):
            return self._leave_the_mute(now)
        if live.recently_proven(now):
            return []
        live.doubted()  # the peer gave up the path, perhaps rightly
        return [] if live.asking else [*self._ask(now), *self._run(now)]

    def endpoint_failed(self, endpoint: Endpoint, now: float) -> list[Output]:
        """The system refused to send there."""
        candidate = self.candidates.get(endpoint)
        outputs: list[Output] = []
        if self._alone.direct is not None and first_hop(self._alone.direct) == endpoint:
            outputs += self._fall(f"sending to {endpoint} failed", now)
        if candidate is not None:
            candidate.wanted, candidate.due = False, now + RETRY_FAILED
        return outputs + self._run(now)

    def reset(self, now: float) -> list[Output]:
        """Our link is another one: nothing that was learned over the old one holds."""
        outputs: list[Output] = []
        if self._live is not None:
            outputs += self._fall("our own link changed", now)
        self._pings.clear()
        self.candidates.forget_history(now)
        self._restart(now)
        self._called_at = self._call_at = -math.inf
        return outputs + self._run(now)

    def ping_now(self, now: float) -> list[Output]:
        """A person asks. It counts as data sent, so it starts the search if there is no path."""
        was_active = now < self._active_until
        self._active_until = now + SESSION_ACTIVE
        if self.trusted(now):
            return [*self._ask(now), *self._run(now)]
        self.candidates.want_all()
        return self._run(now) if was_active else self._search(now)

    def tick(self, now: float) -> list[Output]:
        if self._overslept(now):
            self._pings.clear()  # their pongs have waited as long as we have slept
        return self._run(now)

    def trusted(self, now: float) -> bool:
        """Whether data goes directly, and only directly."""
        return self._live is not None and self._live.trusted(now)

    def trusted_until(self, now: float) -> float:
        """As long as nothing else happens; in the past if it is not trusted."""
        return self._live.trusted_until(now) if self._live and self.trusted(now) else -math.inf

    # --- what is due ---

    def _run(self, now: float) -> list[Output]:
        outputs = self._watch_the_path(now)
        self.candidates.prune(now, keep=self._alone.direct)
        outputs += self._ping_candidates(now)
        if self._searching(now) and self._call_at <= now < self._active_until:
            outputs += self._call(now)
        self._forget_old_pings(now)
        self._reschedule(now)
        return outputs

    def _watch_the_path(self, now: float) -> list[Output]:
        live = self._live
        if live is None:
            return []
        strike_due, ping_due = live.strike_due(), live.ping_due(self._active_until)
        outputs: list[Output] = []
        if strike_due is not None and strike_due <= now:
            live.strike(now)
            if live.dead:
                return self._fall(
                    f"{kind_of(self.path)} path fell silent: {live.strikes} pings unanswered", now
                )
            outputs += self._ask(now)
        elif ping_due is not None and ping_due <= now:
            outputs += self._ask(now)
        if self._upgrade_at <= now < self._active_until:
            first = self._upgrade_at < self._since + UPGRADE
            self._upgrade_at = now + UPGRADE
            if first or live.latency > GOOD_ENOUGH:
                self.candidates.want_all(but=self._alone.direct)
        return outputs

    def _ping_candidates(self, now: float) -> list[Output]:
        outputs: list[Output] = []
        if not self._awake(now):
            return outputs
        searching = self._searching(now)
        due = [c for c in self.candidates if c.wanted or (searching and c.due <= now)]
        due.sort(key=lambda c: (c.ponged_at is None, c.pings))
        for candidate in due:
            if not self._pace.take(now):
                break
            outputs.append(self._ping(candidate, now))
        return outputs

    def _reschedule(self, now: float) -> None:
        times: list[float] = []
        awake_until = max(self._active_until, self._helping_until)
        searching = self._searching(now)
        pings = [c.due for c in self.candidates if searching and not c.wanted]
        pings += [now for c in self.candidates if c.wanted and self._awake(now)]
        times += [t for t in (max(p, self._pace.free_at) for p in pings) if t < awake_until]
        if self._live is not None:
            due = (self._live.strike_due(), self._live.ping_due(self._active_until))
            times += [t for t in due if t is not None]
        if now < self._active_until:
            use = self._call_at if searching else self._upgrade_at
            times += [use] if use < self._active_until else []
        self.deadline = min(times, default=None)

    def _awake(self, now: float) -> bool:
        return now < self._active_until or now < self._helping_until

    def _answers(self, now: float) -> bool:
        return self._live is not None and self._live.answers(now)

    def _overslept(self, now: float) -> bool:
        """What comes in now has waited for us, who knows how long."""
        return self.deadline is not None and now > self.deadline + ASLEEP

    def _searching(self, now: float) -> bool:
        return self._awake(now) and (self._live is None or self._live.expired(now) or self._detour)

    @property
    def _detour(self) -> bool:
        return isinstance(self.path, PeerRelayed)

    # --- what is done ---

    def _search(self, now: float) -> list[Output]:
        self._restart(now)
        return self._run(now)

    def _volley(self, now: float) -> None:
        self.candidates.restart(now)
        self._volley_at = now

    def _restart(self, now: float) -> None:
        self.searching_since = now
        self._volley(now)
        self._calls = 0
        self._call_at = max(now, self._called_at + CALL_GAP)

    def _ping(self, candidate: Candidate, now: float) -> SendPing:
        txid = self._random(TXID_SIZE)
        self._pings[txid] = (candidate.endpoint, now)
        candidate.pinged(now)
        if self._live is not None and candidate.endpoint == self._alone.direct:
            self._live.pinged(now)
        return SendPing(candidate.endpoint, txid, self._ping_size)

    def _ask(self, now: float) -> list[Output]:
        """Ping the path in use; that is never put off, and so rare that it is not counted."""
        candidate = self.candidates.get(self._alone.direct)
        return [self._ping(candidate, now)] if candidate else []

    def _call(self, now: float) -> list[Output]:
        self._calls += 1
        self._called_at = now
        gap = CALL_GAP * GROWTH ** min(10, max(0, self._calls - SETTLED_PINGS))
        self._call_at = now + min(LONGEST, gap)
        return [SendCallMeMaybe()]

    def _beats_the_path(self, candidate: Candidate, now: float) -> bool:
        live, current = self._live, self._alone.direct
        if now < candidate.avoid_until:
            return False
        if live is None or current is None or not live.answers(now):
            return True
        challenger = quality_of(candidate.endpoint, candidate.latency or 0.0)
        return clearly_better(challenger, quality_of(current, self.rtt or 0.0))

    def _use(self, endpoint: Way, latency: float, why: str, now: float) -> PathChanged:
        if self._live is None:
            self._upgrade_at = now + FIRST_UPGRADE
        self.path, self.rtt, self.why, self._since = path_by(endpoint), latency, why, now
        self._live = Liveness(latency, now)
        self._alone, self._mirrored = Route(endpoint, relay=False), Route(endpoint, relay=True)
        return PathChanged(self.path, why, latency)

    def _leave_the_mute(self, now: float) -> list[Output]:
        candidate = self.candidates.get(self._alone.direct)
        outputs = self._fall(f"{self.path}: pings pass there, data does not", now)
        if candidate is not None:
            candidate.was_mute(now)
        return outputs + self._run(now)

    def _fall(self, why: str, now: float) -> list[Output]:
        candidate = self.candidates.get(self._alone.direct)
        if candidate is not None:
            candidate.fell(now - self._since, now)
        self.path, self.rtt, self.why = Relayed(), None, why
        self._live = None
        self._alone = self._mirrored = RELAY
        self._upgrade_at = math.inf
        self._restart(now)
        return [PathChanged(self.path, why, None)]

    def _remember(self, txid: bytes) -> None:
        self._seen[txid] = None
        if len(self._seen) > TXIDS_REMEMBERED:
            self._seen.popitem(last=False)

    def _forget_old_pings(self, now: float) -> None:
        while self._pings:
            txid, (_, sent_at) = next(iter(self._pings.items()))
            if now <= sent_at + PING_TIMEOUT:
                return
            del self._pings[txid]
