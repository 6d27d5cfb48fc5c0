"""Whether the direct path in use still is one.

A pong proves both directions; data heard proves only the peer's. While data is sent, silence is
suspicious at once, and the question is put by a ping:

    data sent, nothing heard for 0.4 s --> ping --> no pong in time: strike 1, mirror to the relay
                                           ping --> no pong in time: strike 2
                                           ping --> no pong in time: strike 3, the path is dead

That takes 0.85 s at 20 ms of latency; the mirrored data flows again after 0.6 s. A plain loss costs a
ping or a mirrored batch, not the path. When data is heard while the ping is out, the way to us is
alive and perhaps a full queue delays the pong: then each step waits longer.

Data by the relay, while this path is in use, says that the peer has lost faith in it: it does not hear
us. Then our data is mirrored at once, until a pong proves that it does. So a path that dies one way
flows again as soon as the first of the two ends has noticed.

There are networks that let small strange packets pass and swallow WireGuard's. A WireGuard peer that
gets data answers within 10 s, be it by a keepalive. So a path on which data goes out for 12 s and none
comes back is *mute*: data is mirrored, and if then the relay brings data and the path still does not,
the path is no good, whatever its pongs say.
"""

from __future__ import annotations

HEARTBEAT = 3.0  # s between pings of a path in use; a NAT forgets after 30 s at the earliest
TRUST = 6.5  # s after a pong that a path is used alone: two heartbeats and a little

SILENCE = 0.4  # s; answers come sooner than that on any path worth having
UNPROVEN = 1.0  # s that data heard may stand in for a pong, while we send
DEAD = 3  # strikes; two lost pings in a row are an ordinary thing at a few percent of loss

MUTE = 12.0  # s; the peer's keepalive comes after 10
PAUSE = 5.0  # s without sending; what was sent before it is forgotten
MUTE_PROOF = (
    1.0  # s from the first mirrored data to the relay's answer: the direct one had its chance
)

QUICK = ((0.2, 3.0), (0.1, 1.5), (0.15, 1.5))  # by strikes: at least s, and at least latencies
PATIENT = (0.5, 4.0)  # the same, when data came in after the ping went out


class Liveness:
    """Of one direct path, from the pong that proved it."""

    def __init__(self, latency: float, now: float) -> None:
        self.latency = latency
        self.strikes = 0
        self._ponged_at = now
        self._pinged_at = now
        self._heard_at = now
        self._asked_at: float | None = None  # the ping whose answer is waited for
        self._unheard_since: float | None = None  # the first data sent after anything was heard
        self._unproven_since: float | None = None  # the first data sent after a pong
        self._sent_at = now
        self._mute_since: float | None = None  # the first data sent after data was heard
        self._mirrored_mute_at: float | None = None
        self._doubted = False  # by the peer, since the last pong

    def trusted(self, now: float) -> bool:
        return self.answers(now) and not self.is_mute(now) and not self._doubted

    def trusted_until(self, now: float) -> float:
        """If nothing but data is sent or heard on it, at least."""
        mute_since = now if self._mute_since is None else self._mute_since
        return min(self._ponged_at + TRUST, mute_since + MUTE)

    def answers(self, now: float) -> bool:
        return self.strikes == 0 and not self.expired(now)

    def expired(self, now: float) -> bool:
        return now >= self._ponged_at + TRUST

    def is_mute(self, now: float) -> bool:
        return (
            self._mute_since is not None
            and now >= self._mute_since + MUTE
            and now <= self._sent_at + PAUSE
        )

    def surely_mute(self, now: float) -> bool:
        """To be asked when the relay has brought data."""
        mirrored = self._mirrored_mute_at
        return mirrored is not None and now >= mirrored + MUTE_PROOF

    @property
    def asking(self) -> bool:
        return self._asked_at is not None

    def data_sent(self, now: float) -> None:
        if self._unheard_since is None:
            self._unheard_since = now
        if self._unproven_since is None:
            self._unproven_since = now
        if self._mute_since is None or now > self._sent_at + PAUSE:
            self._mute_since, self._mirrored_mute_at = now, None
        elif self._mirrored_mute_at is None and self.is_mute(now):
            self._mirrored_mute_at = now
        self._sent_at = now

    def data_heard(self, now: float) -> None:
        self._heard_at = now
        self._unheard_since = self._mute_since = self._mirrored_mute_at = None

    def pinged(self, now: float) -> None:
        self._pinged_at = now
        if self._asked_at is None:
            self._asked_at = now

    def ponged(self, latency: float, now: float) -> None:
        self.latency = latency
        self.strikes = 0
        self._ponged_at = self._heard_at = now
        self._asked_at = self._unheard_since = self._unproven_since = None
        self._doubted = False

    def doubted(self) -> None:
        """The peer sends by the relay; whoever calls this sees to it that a ping is on its way."""
        self._doubted = True

    def strike(self, now: float) -> None:
        """The answer did not come in time; whoever calls this pings again unless it is dead."""
        self.strikes += 1
        self._asked_at = now

    @property
    def dead(self) -> bool:
        return self.strikes >= DEAD

    def strike_due(self) -> float | None:
        if self._asked_at is None:
            return None
        at_least, latencies = QUICK[min(self.strikes, len(QUICK) - 1)]
        if self._heard_at > self._asked_at:
            at_least, latencies = PATIENT
        return self._asked_at + max(at_least, latencies * self.latency)

    def ping_due(self, active_until: float) -> float | None:
        """None while an answer is waited for, and when nobody uses the path."""
        if self._asked_at is not None:
            return None
        heartbeat = self._pinged_at + HEARTBEAT
        times = [heartbeat] if heartbeat < active_until else []
        if self._unheard_since is not None:
            times.append(self._unheard_since + SILENCE)
        if self._unproven_since is not None:
            times.append(self._unproven_since + UNPROVEN)
        return min(times, default=None)

    def recently_proven(self, now: float) -> bool:
        return now < self._ponged_at + SILENCE
