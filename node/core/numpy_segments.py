"""The data path on numpy's columns. Importing this takes 90 ms, so a node does it when data flows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from node.core.checksum import Buffer
from node.core.coalesce import TunFeatures
from node.core.open_batch import BatchOpener
from node.core.rows import OVERHEAD, Rows, padded, per_send
from node.core.seal_batch import BatchSealer
from node.core.segments import Opened, PlainSegments
from node.core.superpacket import SuperPacket, cut


class NumpySegments:
    name = "numpy"

    def __init__(self, mtu: int, features: TunFeatures) -> None:
        self._mtu = mtu
        self._features = features
        self._plain = PlainSegments(mtu, features)
        self._sealer = BatchSealer(mtu)
        self._opener = BatchOpener()

    def seal_superpacket(
        self, key: bytes, receiver: int, counter: int, superpacket: SuperPacket
    ) -> list[Rows]:
        if superpacket.is_ordinary:
            return self.seal_packets(key, receiver, counter, [superpacket])
        what = cut(superpacket)
        if not self._sealer.fits(what):
            return self._plain.seal_superpacket(key, receiver, counter, superpacket)
        return self._sealer.seal_superpacket(key, receiver, counter, superpacket.packet, what)

    def seal_packets(
        self, key: bytes, receiver: int, counter: int, packets: Sequence[SuperPacket]
    ) -> list[Rows]:
        out: list[Rows] = []
        for run in runs_of(packets, self._mtu):
            if out:
                out[-1] = _kept(out[-1])
            out += self._sealer.seal_packets(key, receiver, counter, run)
            counter += len(run)
        return out

    def open(self, key: bytes, rows: Rows) -> Opened:
        if not self._opener.reaches(rows):
            return self._plain.open(key, rows)
        counters, failed = self._opener.open(key, rows)
        return Opened(rows, counters, failed)

    def coalesce(self, opened: Opened, refused: Collection[int] = ()) -> list[Buffer]:
        rows = opened.rows
        if rows.count > 1 and not opened.failed and not refused and self._opener.reaches(rows):
            write = self._opener.merge(rows, self._features)
            if write is not None:
                return [write]
        return self._plain.coalesce(opened, refused)


def runs_of(packets: Sequence[SuperPacket], mtu: int) -> Iterator[Sequence[SuperPacket]]:
    """Neighbours of equal padded length, the last perhaps shorter, as many as one send takes."""
    begin, size, limit, is_open = 0, 0, 0, False
    for i, (_, packet) in enumerate(packets):
        text = padded(len(packet), mtu)
        if not is_open or text > size or i - begin >= limit:
            if i > begin:
                yield packets[begin:i]
            begin, size, limit = i, text, per_send(text + OVERHEAD)
        is_open = text == size
    if packets:
        yield packets[begin:]


def _kept(rows: Rows) -> Rows:
    """Out of the sealer's buffer, which the next run needs."""
    copy = bytearray(rows.data)
    return Rows(copy, 0, len(copy), rows.size)
