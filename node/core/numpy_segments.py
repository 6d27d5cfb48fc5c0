"""The data path on numpy's columns. Importing this takes 90 ms, so a node does it when data flows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from node.core.checksum import Buffer
from node.core.equal_run import EqualRun
from node.core.open_batch import BatchOpener
from node.core.row_cipher import CIPHERS
from node.core.rows import Rows, is_uniform, kept
from node.core.runs import runs_of
from node.core.seal_batch import BatchSealer
from node.core.segments import Opened, PlainSegments, one_by_one
from node.core.superpacket import SuperPacket, cut
from node.core.tun_features import TunFeatures


class NumpySegments:
    def __init__(self, mtu: int, features: TunFeatures, cipher: str | None = None) -> None:
        """Raises ImportError where neither cipher is, or not the one asked for."""
        cipher = cipher or next(iter(CIPHERS), "")
        if cipher not in CIPHERS:
            raise ImportError(f"no cipher for rows: {cipher or 'neither'} is in this process")
        self.name = f"numpy with {cipher}"
        self._mtu = mtu
        self._features = features
        self._plain = PlainSegments(mtu, features)
        self._sealer = BatchSealer(mtu, CIPHERS[cipher])
        self._opener = BatchOpener(CIPHERS[cipher])

    def seal_superpacket(
        self, key: bytes, receiver: int, counter: int, superpacket: SuperPacket
    ) -> list[Rows]:
        if superpacket.is_ordinary:
            return self.seal_packets(key, receiver, counter, [superpacket])
        what = cut(superpacket)
        if not self._sealer.fits(what.header_length + what.segment, what.count):
            return self._plain.seal_superpacket(key, receiver, counter, superpacket)
        return self._sealer.seal_superpacket(key, receiver, counter, superpacket.packet, what)

    def seal_superpackets(
        self, key: bytes, receiver: int, counter: int, superpackets: Sequence[SuperPacket]
    ) -> list[Rows]:
        return one_by_one(self, key, receiver, counter, superpackets)

    def seal_packets(
        self, key: bytes, receiver: int, counter: int, packets: Sequence[SuperPacket]
    ) -> list[Rows]:
        if isinstance(packets, EqualRun) and self._sealer.fits(packets.length, packets.number):
            return self._sealer.seal_equal(key, receiver, counter, packets)
        out: list[Rows] = []
        for run in runs_of(packets, self._mtu):
            if out:
                out[-1] = kept(out[-1])
            out += self._sealer.seal_run(key, receiver, counter, run)
            counter += len(run.packets)
        return out

    def is_uniform(self, rows: Rows) -> bool:
        return self._opener.is_uniform(rows) if self._opener.reaches(rows) else is_uniform(rows)

    def open(self, key: bytes, rows: Rows) -> Opened:
        if rows.count == 1 or not self._opener.reaches(rows):  # columns do not pay for an ACK
            return self._plain.open(key, rows)
        return Opened(*self._opener.open(key, rows))

    def coalesce(self, opened: Opened, refused: Collection[int] = ()) -> list[Buffer]:
        rows = opened.rows
        if rows.count > 1 and not opened.failed and not refused:
            write = self._opener.merge(rows, self._features)
            if write is not None:
                return [write]
            return self._in_runs(rows)
        return self._plain.coalesce(opened, refused)

    def _in_runs(self, rows: Rows) -> list[Buffer]:
        """Merged as far as they follow one another."""
        writes: list[Buffer] = []
        for first, count in self._opener.runs(rows) or [(0, rows.count)]:
            part = rows.part(first, count)
            write = self._opener.merge(part, self._features) if 1 < count < rows.count else None
            if write is not None:
                writes.append(bytes(write))  # the next run is merged in the same place
            else:
                writes += self._plain.coalesce(Opened(part, (), ()))
        return writes
