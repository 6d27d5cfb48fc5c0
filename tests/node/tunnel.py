"""Two WireGuard devices joined by a list: real ones, on a clock that jumps to the next thing to happen."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from node.core.device import (
    Deliver,
    Device,
    HandshakeCompleted,
    Heard,
    Output,
    PeerConfig,
    Reply,
    Source,
    Transmit,
)
from node.core.limits import Limits
from node.keys import NodePrivate, NodePublic

ONE_WAY = 0.01  # s
EPOCH = 1_700_000_000.0


def packet(source: str, destination: str, payload: bytes = b"") -> bytes:
    """A UDP packet as far as a tunnel looks: version, length, addresses."""
    here, there = ip_address(source).packed, ip_address(destination).packed
    if len(here) == 4:
        head = bytes([0x45, 0]) + (20 + len(payload)).to_bytes(2, "big") + bytes(4)
        return head + bytes([64, 17, 0, 0]) + here + there + payload
    return (
        bytes([0x60, 0, 0, 0])
        + len(payload).to_bytes(2, "big")
        + b"\x11\x40"
        + here
        + there
        + payload
    )


@dataclass
class End:
    device: Device
    key: NodePublic
    address: str
    source: Source
    """Where the other end sees our datagrams come from."""
    delivered: list[bytes] = field(default_factory=list)
    heard: list[Source] = field(default_factory=list)
    completed: list[bool] = field(default_factory=list)
    sent: list[tuple[float, bytes]] = field(default_factory=list)

    def sent_of_type(self, kind: int) -> list[float]:
        return [when for when, datagram in self.sent if datagram[0] == kind]


class Tunnel:
    def __init__(
        self, *, limits: Limits | None = None, seed: int = 1, psk: tuple[bytes, bytes] | None = None
    ) -> None:
        self.now = 1000.0
        self.lost: Callable[[End, bytes], bool] = lambda end, datagram: False
        self.one_way: Callable[[], float] = lambda: ONE_WAY
        self.copies: Callable[[], int] = lambda: 1
        """Two when a datagram goes over two paths at once."""
        self._order = itertools.count()
        self._flying: list[tuple[float, int, str, list[bytes], Source]] = []
        rng = random.Random(seed)
        keys = [NodePrivate.from_seed(rng.randbytes(32)) for _ in range(2)]
        ends = [
            End(
                Device(key, random=rng.randbytes, epoch=EPOCH, limits=limits),
                key.public,
                address,
                name,
            )
            for key, address, name in zip(
                keys, ("100.64.1.10", "100.64.2.20"), ("from-a", "from-b"), strict=True
            )
        ]
        self.a, self.b = ends
        for end, preshared in zip(ends, psk or (bytes(32), bytes(32)), strict=True):
            other = self.other(end)
            end.device.set_peers([PeerConfig(other.key, (other.address,), preshared)], self.now)

    def other(self, end: End) -> End:
        return self.b if end is self.a else self.a

    def send(self, end: End, *payloads: bytes) -> None:
        to = self.other(end)
        packets = [packet(end.address, to.address, payload) for payload in payloads]
        self.take(end, end.device.send(packets, self.now))

    def take(self, end: End, outputs: Sequence[Output]) -> None:
        to = self.other(end)
        for output in outputs:
            match output:
                case Transmit(peer, datagrams):
                    assert peer == to.key
                    self._launch(end, datagrams)
                case Reply(source, datagrams):
                    assert source == to.source
                    self._launch(end, datagrams)
                case Deliver(peer, packets):
                    assert peer == to.key
                    end.delivered += [p[20:] for p in packets]
                case Heard(_, source):
                    end.heard.append(source)
                case HandshakeCompleted(_, initiator):
                    end.completed.append(initiator)

    def _launch(self, end: End, datagrams: list[bytes]) -> None:
        end.sent += [(self.now, datagram) for datagram in datagrams]
        name = "b" if end is self.a else "a"
        for _ in range(self.copies()):
            arriving = [datagram for datagram in datagrams if not self.lost(end, datagram)]
            flight = (self.now + self.one_way(), next(self._order), name, arriving, end.source)
            heapq.heappush(self._flying, flight)

    @property
    def next_event(self) -> float | None:
        arrivals = [flight[0] for flight in self._flying[:1]]
        deadlines = [self.a.device.deadline, self.b.device.deadline]
        return min([*arrivals, *(d for d in deadlines if d is not None)], default=None)

    def run(self, seconds: float = 0.1) -> None:
        """Everything that happens within so many seconds, each at its exact time."""
        until = self.now + seconds
        while (when := self.next_event) is not None and when <= until:
            self.now = max(self.now, when)
            self._arrive()
            for end in (self.a, self.b):
                due = end.device.deadline
                if due is not None and due <= self.now:
                    self.take(end, end.device.tick(self.now))
                    later = end.device.deadline
                    assert later is None or later > self.now, "a tick must move the deadline"
        self.now = until

    def _arrive(self) -> None:
        while self._flying and self._flying[0][0] <= self.now:
            _, _, name, datagrams, source = heapq.heappop(self._flying)
            end = self.a if name == "a" else self.b
            self.take(end, end.device.receive(datagrams, source, self.now))
