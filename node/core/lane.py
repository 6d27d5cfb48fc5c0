"""A lane: what may be done with packets to and from one peer, without asking anybody.

A ping's packet that comes alone finds a cold processor, and each function that it passes costs it; a bulk
transfer's pays for each function with bandwidth. So while a peer's session and direct path stay as they are,
its packets take a lane: seal and send, open and write, nothing else. A lane is open for a few seconds at
most, it is closed by whatever else happens, and whatever is odd about a packet sends it the long way. What
passed stands in a `Toll`, from which the timers, counters and paths learn of it.

    Lanes (in the mesh) --opens, closes--> Track (of some way through the data path) --passes--> packets
      ^                                      |
      +------------------ Toll --------------+
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct, field

from node.core.session import Session
from node.wire.endpoint import Endpoint

COUNTERS = 1 << 22  # reserved for a lane, seconds of bulk: nobody else can seal with one of them


class Lane(Struct, frozen=True, eq=False):
    """Counters from `first` on are its own; what it opens must bear `expected`, then the next, and so on."""

    sends: Session
    receives: Session  # the same, unless both ends have initiated at once
    to: Endpoint
    there: bytes  # the peer's inner address: packets to it go out, packets from it come in
    until: float
    first: int
    expected: int


class Turns(Struct):
    """When something went one way; 0 is never. What the system would not send counts, too."""

    count: int = 0
    size: int = 0  # bytes of WireGuard's datagrams
    first: float = 0.0
    last: float = 0.0
    since: float = 0.0  # the first after anything went the other way

    def note(self, size: int, now: float, other: Turns) -> None:
        self.count += 1
        self.size += size
        self.first = self.first or now
        self.last = now
        self.since = self.since or now
        other.since = 0.0


class Toll(Struct):
    """What passed since the last toll."""

    sent: Turns = field(default_factory=Turns)
    received: Turns = field(default_factory=Turns)

    def moments(self) -> Iterator[tuple[float, bool]]:
        """Those that matter to anybody, in order; True: it was sent. All others lie between two of these
        and change nothing that the later one does not."""
        both = ((self.sent, True), (self.received, False))
        times = {
            (when, is_sent)
            for turns, is_sent in both
            if turns.count
            for when in (turns.first, turns.since, turns.last)
            if when
        }
        return iter(sorted(times))


class Track(Protocol):
    """Where lanes are. It passes packets by itself, as they come in at the interfaces."""

    in_batches: bool  # else lone ones only: no lane is opened for others in vain

    def open(self, lane: Lane) -> None:
        """Nothing happens where there is no room for another."""

    def close(self, lane: Lane) -> Toll:
        """The last toll."""

    def toll(self, lane: Lane) -> Toll: ...
