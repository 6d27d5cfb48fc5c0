"""Lanes without C: the same results, and the measure of those in C.

For a lone packet each function is a cold one, so what others do in a function of their own is spelled out
here: the look at an IP header, the padding.
"""

from __future__ import annotations

import struct

from node.core.aead import open_sealed, seal
from node.core.flow import packet_length
from node.core.lane import COUNTERS, Lane, Toll
from node.core.padding import MULTIPLE
from node.core.rows import HEADER, OVERHEAD, TRANSPORT
from node.core.superpacket import SuperPacket, finished
from node.wire.endpoint import Endpoint
from node.wire.malformed import Malformed
from node.wire.tsmp import TSMP_PROTOCOL
from node.wire.virtio import unpack_virtio

_HEAD = struct.Struct("<IIQ")
_ZEROS = bytes(MULTIPLE)
_DESTINATION = [slice(0)] * 16  # by IP version: where the address is
_DESTINATION[4], _DESTINATION[6] = slice(16, 20), slice(24, 40)


class Passing:
    """A lane, and how many packets have passed."""

    __slots__ = ("lane", "protocol", "received", "sent", "source", "toll", "version")

    def __init__(self, lane: Lane) -> None:
        is_ipv6 = len(lane.there) == 16
        self.version = 6 if is_ipv6 else 4
        # Where these are in the header.
        self.source = slice(8, 24) if is_ipv6 else slice(12, 16)
        self.protocol = 6 if is_ipv6 else 9
        self.lane = lane
        self.sent = self.received = 0
        self.toll = Toll()


class PlainTrack:
    """A `Track`. What `out` and `into` answer with None goes the long way."""

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

    def out(self, header: bytes, packet: bytes, now: float) -> tuple[bytes, Endpoint] | None:
        """The datagram, and where it is to be sent. `header`: virtio's, if there is one."""
        passing = self._by_address.get(packet[_DESTINATION[packet[0] >> 4]])
        size, mtu = len(packet), self._mtu
        if passing is None or packet[0] >> 4 != passing.version or size > mtu:
            return None
        lane = passing.lane
        if now >= lane.until or passing.sent == COUNTERS:
            return None
        plain = _finished(header, packet) if any(header) else packet
        if plain is None:
            return None
        session, counter = lane.sends, lane.first + passing.sent
        plain += _ZEROS[: min(-size % MULTIPLE, mtu - size)]
        head = _HEAD.pack(TRANSPORT, session.remote_index, counter)
        datagram = head + seal(session.send_key, counter, plain)
        passing.sent += 1
        passing.toll.sent.note(len(datagram), now, passing.toll.received)
        return datagram, lane.to

    def into(self, datagram: bytes, source: tuple[str, int], now: float) -> bytes | None:
        """The packet in it: a whole one, and not for the node itself."""
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
        if (
            plain is None
            or not (length := packet_length(plain))
            or plain[0] >> 4 != passing.version
            or plain[passing.source] != lane.there
            or plain[passing.protocol] == TSMP_PROTOCOL
        ):
            return None
        passing.received += 1
        passing.toll.received.note(len(datagram), now, passing.toll.sent)
        return plain[:length]


def _finished(header: bytes, packet: bytes) -> bytes | None:
    virtio = unpack_virtio(header)
    if virtio.gso_type:
        return None
    try:
        return finished(SuperPacket(virtio, memoryview(packet)))
    except Malformed:
        return None
