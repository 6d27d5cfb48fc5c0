"""Which lanes are open: one for each peer with traffic of late, while its path is a plain one.

All close when anything else happens, and open again with the next tick, at once if that is rare. So nothing
has to be told to an open lane, and nothing that it does not know of can be true for long. Whoever sends us
anything closes them, too: for that moment all goes the long way, which is slower and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from node.core.actions import Action
from node.core.courier import straight
from node.core.device import Device
from node.core.lane import COUNTERS, Lane, Toll, Track
from node.core.limits import REJECT_AFTER_MESSAGES
from node.core.mesh_peer import MeshPeer
from node.core.path_traffic import PathTraffic
from node.keys import NodePublic
from node.wire.endpoint import Endpoint

SOON = 0.02  # s between two openings: no oftener, because one costs what a batch does
LONGEST = 5.0  # s that a lane stays open by itself
MOST = 16  # lanes at a time; of more peers, those whose packets came last have one


class Wanted(Struct):
    """By a peer, as soon as it may be."""

    peer: MeshPeer
    there: bytes
    heard: int | None = None  # the index of ours that it last sent to


class Open(Struct):
    """A lane, and how many packets have passed."""

    peer: MeshPeer
    lane: Lane
    sent: int = 0
    received: int = 0


class Lanes:
    def __init__(
        self,
        device: Device,
        traffic: PathTraffic,
        sent: Callable[[MeshPeer, float], list[Action]],
        heard: Callable[[MeshPeer, Endpoint, float], list[Action]],
    ) -> None:
        """`sent` and `heard` are told what happened when, a moment after it has."""
        self.deadline: float | None = None
        self.owes = False  # whoever reads: packets have passed since anybody was told
        self.track: Track | None = None  # None: all packets go the long way
        self._device, self._traffic = device, traffic
        self._sent, self._heard = sent, heard
        self._wanted: dict[NodePublic, Wanted] = {}  # the latest last
        self._open: list[Open] = []
        self._opened_at = float("-inf")
        self._untold: list[Action] = []

    def use(self, track: Track, now: float) -> list[Action]:
        """From now on."""
        actions = self.leave(now)
        self.track = track
        return actions

    def may_want(self, alone: bool) -> bool:
        """For packets that came alone, or together."""
        return self.track is not None and (alone or self.track.in_batches)

    def want(self, peer: MeshPeer, there: bytes, now: float, heard: int | None = None) -> None:
        """A packet to or from that inner address has just gone the long way; to that index of ours."""
        wanted = self._wanted.pop(peer.key, None) or Wanted(peer, there)
        wanted.there, wanted.heard = there, wanted.heard if heard is None else heard
        self._wanted[peer.key] = wanted
        if len(self._wanted) > MOST:
            del self._wanted[next(iter(self._wanted))]
        if self.deadline is None and straight(peer, now) is not None:
            self.deadline = now + SOON

    def settle(self) -> None:
        """All that has passed is accounted for; `leave` says what is to be done about it."""
        self.owes = False
        if self.track is not None:
            for each in self._open:
                self._account(each, self.track.toll(each.lane))

    def leave(self, now: float) -> list[Action]:
        """Before anything else happens: all close."""
        self.owes = False
        if self.track is None or not (self._open or self._untold):
            return []
        closed, self._open = self._open, []
        for each in closed:
            self._account(each, self.track.close(each.lane))
            each.lane.sends.give_back(each.lane.first, COUNTERS, each.sent)
        self.deadline = max(now, self._opened_at + SOON)
        untold, self._untold = self._untold, []
        return untold

    def review(self, now: float) -> None:
        """After all else that a tick does."""
        self.deadline, self._opened_at = None, now
        for key, wanted in list(self._wanted.items()):
            if wanted.peer.is_active(now):
                self._try(wanted, now)
            else:
                del self._wanted[key]

    def forget(self) -> None:
        """Who is there has changed. None is open."""
        self._wanted.clear()

    def _try(self, wanted: Wanted, now: float) -> None:
        peer, track = wanted.peer, self.track
        to = straight(peer, now)
        if to is None or track is None:
            return
        current = self._device.sessions_until(peer.key, wanted.heard, now)
        if current is None:
            return
        sends, receives, until = current
        # As long as the peer counts as in use, so that what passes is no news to anybody.
        until = min(until, peer.active_until, now + LONGEST)
        if not peer.is_plain:
            until = min(until, peer.paths.trusted_until(now))
        expected = receives.window.highest + 1
        if until <= now or expected + COUNTERS > REJECT_AFTER_MESSAGES:
            return
        first = sends.reserve(COUNTERS)
        lane = Lane(sends, receives, to, wanted.there, until, first, expected)
        self._open.append(Open(peer, lane))
        track.open(lane)

    def _account(self, open_: Open, toll: Toll) -> None:
        if not toll.sent.count and not toll.received.count:
            return
        peer, lane = open_.peer, open_.lane
        begin = lane.expected + open_.received
        lane.receives.window.accept_all(range(begin, begin + toll.received.count))
        open_.sent += toll.sent.count
        open_.received += toll.received.count
        self._device.passed(peer.key, toll)
        self._traffic.passed(lane.to, toll)
        for when, is_sent in toll.moments():
            told = self._sent(peer, when) if is_sent else self._heard(peer, lane.to, when)
            self._untold += told
