"""A session: the keys of one completed handshake, a counter each way, and the replay window.

It seals and opens in batches, lists in and lists out. Keys, indices and counters are plain attributes,
so that a faster batch routine can reserve counters (`reserve`) and seal rows by itself; counters that
such a routine has authenticated go through `window` all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from node.core.aead import open_sealed, seal
from node.core.limits import REJECT_AFTER_MESSAGES
from node.core.noise import TransportKeys
from node.core.padding import padding
from node.core.replay import ReplayWindow
from node.wire.wireguard import KEEPALIVE_SIZE, TRANSPORT, TRANSPORT_HEADER_SIZE

_COUNTER_AT = TRANSPORT_HEADER_SIZE - 8


class Opened(Struct, frozen=True):
    """What a batch of datagrams turned out to be."""

    plaintexts: list[bytes]
    """Authenticated and new, in the order of arrival, padding included; empty ones are keepalives."""
    forged: int
    replayed: int


class Session:
    __slots__ = (
        "created",
        "is_initiator",
        "local_index",
        "receive_key",
        "remote_index",
        "send_counter",
        "send_key",
        "window",
    )

    def __init__(
        self,
        keys: TransportKeys,
        *,
        local_index: int,
        remote_index: int,
        is_initiator: bool,
        now: float,
    ) -> None:
        self.send_key = keys.send
        self.receive_key = keys.receive
        self.local_index = local_index
        self.remote_index = remote_index
        self.is_initiator = is_initiator
        self.created = now
        self.send_counter = 0
        self.window = ReplayWindow()

    def reserve(self, count: int) -> int:
        """The first of `count` send counters, which nobody else will use."""
        first = self.send_counter
        self.send_counter += count
        return first

    def give_back(self, first: int, count: int, used: int) -> None:
        """Of `count` reserved from `first` on. Lost if somebody has taken others meanwhile."""
        if self.send_counter == first + count:
            self.send_counter = first + used

    def has_room(self, count: int) -> bool:
        return self.send_counter + count <= REJECT_AFTER_MESSAGES

    def seal(self, packets: Sequence[bytes], mtu: int) -> list[bytes]:
        """One transport message for each packet; an empty packet makes a keepalive."""
        key = self.send_key
        head = TRANSPORT.to_bytes(4, "little") + self.remote_index.to_bytes(4, "little")
        first = self.reserve(len(packets))
        return [
            head
            + counter.to_bytes(8, "little")
            + seal(key, counter, packet + bytes(padding(len(packet), mtu)))
            for counter, packet in enumerate(packets, first)
        ]

    def open(self, datagrams: Sequence[bytes]) -> Opened:
        """Transport messages to this session's local index. The window is asked after decryption."""
        key = self.receive_key
        counters: list[int] = []
        plaintexts: list[bytes] = []
        for datagram in datagrams:
            if len(datagram) < KEEPALIVE_SIZE:
                continue
            counter = int.from_bytes(datagram[_COUNTER_AT:TRANSPORT_HEADER_SIZE], "little")
            plaintext = open_sealed(key, counter, datagram[TRANSPORT_HEADER_SIZE:])
            if plaintext is not None:
                counters.append(counter)
                plaintexts.append(plaintext)
        forged = len(datagrams) - len(plaintexts)
        verdicts = self.window.accept_all(counters)
        replayed = verdicts.count(False)
        if replayed:
            plaintexts = [p for p, new in zip(plaintexts, verdicts, strict=True) if new]
        return Opened(plaintexts, forged, replayed)
