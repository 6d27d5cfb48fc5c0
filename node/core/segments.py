"""The data path in batches: super-packets into sealed rows, rows into super-packets.

    TUN read -> seal_superpacket(s), seal_packets -> Rows  -> one sendmsg with UDP_SEGMENT
    TUN write <- coalesce  <- (replay, allowed IPs) <- open <- Rows <- one recvmsg with UDP_GRO

There are three ways with the same results: `PlainSegments` here, a packet at a time, needs nothing and is
the measure of the others; `NumpySegments` works on columns; the one in C is optional. Keys and
counters come from the caller, who takes as many counters as rows come back. A result lies in a buffer
that the next call of the same method uses again: send it or copy it first.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

from node.core.aead import open_sealed, seal
from node.core.checksum import Buffer
from node.core.coalesce import coalesce
from node.core.flow import packet_length
from node.core.padding import padding
from node.core.rows import HEADER, TRANSPORT, Rows, in_rows, is_uniform, kept
from node.core.superpacket import SuperPacket, finished, ordinary, split
from node.core.tun_features import TunFeatures
from node.wire.virtio import PLAIN_BYTES

_HEAD = struct.Struct("<IIQ")


class Opened(NamedTuple):
    """Rows whose plaintext lies in them, where the ciphertext was; perhaps in another buffer."""

    rows: Rows
    counters: Sequence[int]  # a range when nothing was lost or reordered
    failed: tuple[int, ...]  # rows that did not authenticate

    def packet(self, i: int) -> memoryview | None:
        """The packet in row `i` without its padding; None for a keepalive, or for no IP packet."""
        place = self.rows.packet(i)
        length = packet_length(place)
        return place[:length] if length else None

    def packets(self, refused: Collection[int] = ()) -> list[memoryview]:
        left_out = {*self.failed, *refused}
        kept = (self.packet(i) for i in range(self.rows.count) if i not in left_out)
        return [packet for packet in kept if packet is not None]


class Segments(Protocol):
    """See the module's text; `key` has 32 bytes, `receiver` is the peer's index."""

    @property
    def name(self) -> str: ...

    def seal_superpacket(
        self, key: bytes, receiver: int, counter: int, superpacket: SuperPacket
    ) -> list[Rows]:
        """Raises Malformed for a super-packet that cannot be cut."""

    def seal_superpackets(
        self, key: bytes, receiver: int, counter: int, superpackets: Sequence[SuperPacket]
    ) -> list[Rows]:
        """The same for several, none of them ordinary."""

    def seal_packets(
        self, key: bytes, receiver: int, counter: int, packets: Sequence[SuperPacket]
    ) -> list[Rows]:
        """For ordinary packets, whose checksums may wait to be finished; an empty one is a keepalive."""

    def is_uniform(self, rows: Rows) -> bool:
        """As in `rows`."""

    def open(self, key: bytes, rows: Rows) -> Opened:
        """For rows of transport data with one receiver index; each at least 32 bytes."""

    def coalesce(self, opened: Opened, refused: Collection[int] = ()) -> list[Buffer]:
        """The TUN writes for all rows but the failed and the refused; each has one source."""


def one_by_one(
    segments: Segments, key: bytes, receiver: int, counter: int, superpackets: Sequence[SuperPacket]
) -> list[Rows]:
    """For ways that gain nothing by doing them together."""
    out: list[Rows] = []
    for each in superpackets:
        rows = segments.seal_superpacket(key, receiver, counter, each)
        counter += sum(run.count for run in rows)
        out += map(kept, rows)
    return out


class PlainSegments:
    """A packet at a time, with bytes and whole integers."""

    name = "plain"

    def __init__(self, mtu: int, features: TunFeatures) -> None:
        self._mtu = mtu
        self._features = features

    def seal_superpacket(
        self, key: bytes, receiver: int, counter: int, superpacket: SuperPacket
    ) -> list[Rows]:
        if superpacket.is_ordinary:
            return self._seal_one(key, receiver, counter, superpacket)
        packets = [ordinary(packet) for packet in split(superpacket)]
        return self.seal_packets(key, receiver, counter, packets)

    def seal_superpackets(
        self, key: bytes, receiver: int, counter: int, superpackets: Sequence[SuperPacket]
    ) -> list[Rows]:
        return one_by_one(self, key, receiver, counter, superpackets)

    def _seal_one(
        self, key: bytes, receiver: int, counter: int, superpacket: SuperPacket
    ) -> list[Rows]:
        """What comes alone waits for nobody: a ping's packet takes the shortest way there is."""
        plain = finished(superpacket)
        plain += bytes(padding(len(plain), self._mtu))
        row = bytearray(_HEAD.pack(TRANSPORT, receiver, counter) + seal(key, counter, plain))
        return [Rows(row, 0, len(row), len(row))]

    def seal_packets(
        self, key: bytes, receiver: int, counter: int, packets: Sequence[SuperPacket]
    ) -> list[Rows]:
        datagrams: list[bytes] = []
        for number, packet in enumerate(packets, counter):
            plain = finished(packet)
            plain += bytes(padding(len(plain), self._mtu))
            head = _HEAD.pack(TRANSPORT, receiver, number)
            datagrams.append(head + seal(key, number, plain))
        return in_rows(datagrams)

    def is_uniform(self, rows: Rows) -> bool:
        return is_uniform(rows)

    def open(self, key: bytes, rows: Rows) -> Opened:
        if rows.count == 1:
            return self._open_one(key, rows)
        counters: list[int] = []
        failed: list[int] = []
        for i, datagram in enumerate(rows.datagrams()):
            counters.append(int.from_bytes(datagram[8:HEADER], "little"))
            plain = open_sealed(key, counters[-1], bytes(datagram[HEADER:]))
            if plain is None:
                failed.append(i)
            else:
                datagram[HEADER : HEADER + len(plain)] = plain
        return Opened(rows, counters, tuple(failed))

    def _open_one(self, key: bytes, rows: Rows) -> Opened:
        buffer, begin = rows.buffer, rows.start + HEADER
        counter = int.from_bytes(buffer[begin - 8 : begin], "little")
        plain = open_sealed(key, counter, bytes(buffer[begin : rows.stop]))
        if plain is None:
            return Opened(rows, (counter,), (0,))
        buffer[begin : begin + len(plain)] = plain
        return Opened(rows, (counter,), ())

    def coalesce(self, opened: Opened, refused: Collection[int] = ()) -> list[Buffer]:
        if opened.rows.count == 1:
            return self._alone(opened, refused)
        return coalesce(opened.packets(refused), self._features)

    def _alone(self, opened: Opened, refused: Collection[int]) -> list[Buffer]:
        """Nobody to merge with, so nothing to look at."""
        packet = None if opened.failed or refused else opened.packet(0)
        if packet is None:
            return []
        return [PLAIN_BYTES + bytes(packet) if self._features.virtio else packet]
