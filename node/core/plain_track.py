"""Lanes without C: the same results, and the measure of those in C."""

from __future__ import annotations

import struct

from msgspec import Struct, field

from node.core.aead import open_sealed, seal
from node.core.flow import packet_length
from node.core.lane import COUNTERS, Lane, Toll
from node.core.padding import padding
from node.core.rows import HEADER, OVERHEAD, TRANSPORT
from node.core.superpacket import SuperPacket, destination, finished
from node.wire.endpoint import Endpoint
from node.wire.malformed import Malformed
from node.wire.tsmp import is_tsmp

_HEAD = struct.Struct("<IIQ")


class Passing(Struct):
    lane: Lane
    sent: int = 0
    received: int = 0
    toll: Toll = field(default_factory=Toll)


class PlainTrack:
    """A `Track`. What `out` and `into` answer with None goes the long way."""

    in_batches = False

    def __init__(self, mtu: int) -> None:
        self._mtu = mtu
        self._by_address: dict[bytes, Passing] = {}
        self._by_index: dict[int, Passing] = {}

    def open(self, lane: Lane) -> None:
        passing = Passing(lane)
        self._by_address[lane.there] = self._by_index[lane.receives.local_index] = passing

    def close(self, lane: Lane) -> Toll:
        toll = self.toll(lane)
        del self._by_address[lane.there], self._by_index[lane.receives.local_index]
        return toll

    def toll(self, lane: Lane) -> Toll:
        passing = self._by_index[lane.receives.local_index]
        toll, passing.toll = passing.toll, Toll()
        return toll

    def out(self, packet: SuperPacket, now: float) -> tuple[bytes, Endpoint] | None:
        """The datagram, and where it is to be sent."""
        passing = self._by_address.get(destination(packet.packet))
        if passing is None or packet.header.gso_type or passing.sent == COUNTERS:
            return None
        lane = passing.lane
        if now >= lane.until or len(packet.packet) > self._mtu:
            return None
        try:
            plain = finished(packet)
        except Malformed:
            return None
        session, counter = lane.sends, lane.first + passing.sent
        plain += bytes(padding(len(plain), self._mtu))
        head = _HEAD.pack(TRANSPORT, session.remote_index, counter)
        datagram = head + seal(session.send_key, counter, plain)
        passing.sent += 1
        passing.toll.sent.note(len(datagram), now, passing.toll.received)
        return datagram, lane.to

    def into(self, datagram: bytes, source: tuple[str, int], now: float) -> bytes | None:
        """The packet in it."""
        if len(datagram) <= OVERHEAD:
            return None
        kind, index, counter = _HEAD.unpack_from(datagram)
        passing = self._by_index.get(index) if kind == TRANSPORT else None
        if passing is None:
            return None
        lane = passing.lane
        if now >= lane.until or source != lane.to or counter != lane.expected + passing.received:
            return None
        plain = open_sealed(lane.receives.receive_key, counter, datagram[HEADER:])
        if plain is None or not _comes_from(plain, lane.there):
            return None
        passing.received += 1
        passing.toll.received.note(len(datagram), now, passing.toll.sent)
        return plain[: packet_length(memoryview(plain))]


def _comes_from(plain: bytes, there: bytes) -> bool:
    """A whole packet, which is not for us."""
    start = 12 if len(there) == 4 else 8
    is_it = packet_length(memoryview(plain)) and plain[0] >> 4 == (4 if len(there) == 4 else 6)
    return bool(is_it) and plain[start : start + len(there)] == there and not is_tsmp(plain)
