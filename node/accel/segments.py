"""The data path with its loop in C: the same results as PlainSegments, without numpy.

Importing this fails with ImportError where the loop was not built.
"""

from __future__ import annotations

import _ssl
from collections.abc import Collection, Sequence
from typing import Any

from node.accel import _loop  # type: ignore[attr-defined]
from node.accel.sources import fingerprint
from node.core import libsodium
from node.core.aead import seal
from node.core.checksum import Buffer
from node.core.equal_run import EqualRun
from node.core.padding import padded
from node.core.rows import GATHERED, LONGEST, OVERHEAD, Rows, kept, sends
from node.core.runs import Run, lay, runs_of
from node.core.segments import Opened, PlainSegments, one_by_one
from node.core.superpacket import SuperPacket, cut, unfinished
from node.core.tun_features import TunFeatures

LARGEST = (GATHERED + 1) * LONGEST  # bytes of rows at a time; writes take less room than their rows
CAPACITY = LARGEST  # bytes of sealed rows; 64 kB in segments of 100 bytes fits
MAX_ROWS = LARGEST // OVERHEAD

lib: Any = _loop.lib
ffi: Any = _loop.ffi
if getattr(lib, "BUILT_FROM", None) != fingerprint():
    raise ImportError("the C loop was built from other sources: python -m node.accel.build")


def ciphers() -> dict[str, Any]:
    """Those this process has, the faster first; each is freed with its last user.

    One whose functions do otherwise than they should, in a library that nobody has seen yet, is none.
    """
    file = getattr(_ssl, "__file__", None)  # None: it is part of the interpreter
    found = {"openssl": lib.openssl_cipher(file.encode() if file else ffi.NULL)}
    if libsodium.available:
        found["libsodium"] = lib.libsodium_cipher(
            libsodium.address("crypto_aead_chacha20poly1305_ietf_encrypt"),
            libsodium.address("crypto_aead_chacha20poly1305_ietf_decrypt"),
        )
    held = {name: ffi.gc(made, lib.free_cipher) for name, made in found.items() if made}
    return {name: cipher for name, cipher in held.items() if _seals(cipher)}


def _seals(cipher: Any) -> bool:
    """As the library does that is asked packet by packet."""
    key, text = bytes(range(32)), bytes(range(100))
    row = bytearray(16) + text + bytes(16)
    at, size = ffi.from_buffer(row), len(row)
    lib.seal_rows(cipher, ffi.from_buffer(key), 0, 7, at, size, 1, size)
    return row[16:] == seal(key, 7, text)


class AcceleratedSegments:
    def __init__(self, mtu: int, features: TunFeatures, cipher: str | None = None) -> None:
        """Raises ImportError where there is no cipher, or not the one asked for."""
        found = ciphers()
        cipher = cipher or next(iter(found), "")
        if cipher not in found:
            raise ImportError(f"no cipher for the C loop: {cipher or 'neither'} is in this process")
        self.name = f"c with {cipher}"
        self.cipher = found[cipher]
        self._mtu = mtu
        self._features = features
        self._plain = PlainSegments(mtu, features)
        self._sealed = bytearray(CAPACITY)
        self._sealed_at = ffi.from_buffer(self._sealed)
        self._writes = bytearray(LARGEST)
        self._writes_at = ffi.from_buffer(self._writes)
        self._counters = ffi.new("uint64_t[]", MAX_ROWS)
        self._failed = ffi.new("uint8_t[]", MAX_ROWS)
        self._none = ffi.new("uint8_t[]", MAX_ROWS)
        self._lengths = ffi.new("uint32_t[]", MAX_ROWS)

    def seal_superpacket(
        self, key: bytes, receiver: int, counter: int, superpacket: SuperPacket
    ) -> list[Rows]:
        if superpacket.is_ordinary:
            return self._seal_one(key, receiver, counter, superpacket)
        return self.seal_superpackets(key, receiver, counter, [superpacket])

    def seal_superpackets(
        self, key: bytes, receiver: int, counter: int, superpackets: Sequence[SuperPacket]
    ) -> list[Rows]:
        out: list[Rows] = []
        at, number, secret = 0, counter, ffi.from_buffer(key)
        for superpacket in superpackets:
            what, packet = cut(superpacket), ffi.from_buffer(superpacket.packet)
            front = what.header_length
            size = padded(front + what.segment, self._mtu) + OVERHEAD
            last = padded(front + what.last, self._mtu) + OVERHEAD
            if at + what.count * size > CAPACITY:
                way = self._plain if len(superpackets) == 1 else self
                return one_by_one(way, key, receiver, counter, superpackets)
            lib.seal_super(
                *(self.cipher, secret, receiver, number, packet, what.ip_length, front),
                *(what.segment, what.count, what.last, what.protocol, self._sealed_at + at),
                *(size, last),
            )
            stop = at + (what.count - 1) * size + last
            out += sends(self._sealed, stop, size, at)
            number += what.count
            at = stop
        return out

    def seal_packets(
        self, key: bytes, receiver: int, counter: int, packets: Sequence[SuperPacket]
    ) -> list[Rows]:
        if isinstance(packets, EqualRun):
            return self._seal_equal(key, receiver, counter, packets)
        out: list[Rows] = []
        for run in runs_of(packets, self._mtu):
            if out:
                out[-1] = kept(out[-1])
            out += self._seal_run(key, receiver, counter, run)
            counter += len(run.packets)
        return out

    def _seal_one(
        self, key: bytes, receiver: int, counter: int, superpacket: SuperPacket
    ) -> list[Rows]:
        checksum = unfinished(superpacket)
        length = len(superpacket.packet)
        size = padded(length, self._mtu) + OVERHEAD
        lib.seal_equal(
            *(self.cipher, ffi.from_buffer(key), receiver, counter),
            *(ffi.from_buffer(superpacket.packet), length, length, 1, *checksum),
            *(self._sealed_at, size),
        )
        return [Rows(self._sealed, 0, size, size)]

    def _seal_equal(self, key: bytes, receiver: int, counter: int, run: EqualRun) -> list[Rows]:
        size = padded(run.length, self._mtu) + OVERHEAD
        if run.number * size > CAPACITY:
            return self._plain.seal_packets(key, receiver, counter, run)
        checksum = unfinished(run[0])
        at = ffi.from_buffer(run.buffer) + run.start
        lib.seal_equal(
            *(self.cipher, ffi.from_buffer(key), receiver, counter, at, run.step),
            *(run.length, run.number, *checksum, self._sealed_at, size),
        )
        return sends(self._sealed, run.number * size, size)

    def _seal_run(self, key: bytes, receiver: int, counter: int, run: Run) -> list[Rows]:
        lay(run, self._sealed)
        count, size, last = len(run.packets), run.size, run.last + OVERHEAD
        if run.unfinished is not None:
            start, offset = run.unfinished.checksum_start, run.unfinished.checksum_offset
            length = len(run.packets[0].packet)
            lib.finish_rows(self._sealed_at, size, count, length, start, offset)
        secret = ffi.from_buffer(key)
        lib.seal_rows(self.cipher, secret, receiver, counter, self._sealed_at, size, count, last)
        return sends(self._sealed, (count - 1) * size + last, size)

    def open(self, key: bytes, rows: Rows) -> Opened:
        count, last = rows.count, rows.last
        if count > MAX_ROWS or min(last, rows.size) < OVERHEAD:
            return self._plain.open(key, rows)
        at = ffi.from_buffer(rows.buffer) + rows.start
        counters = self._counters
        failures = lib.open_rows(
            self.cipher, ffi.from_buffer(key), at, rows.size, count, last, counters, self._failed
        )
        failed = tuple(i for i in range(count) if self._failed[i]) if failures else ()
        return Opened(rows, _as_range(counters, count), failed)

    def is_uniform(self, rows: Rows) -> bool:
        at = ffi.from_buffer(rows.buffer) + rows.start
        return bool(lib.is_uniform(at, rows.size, rows.count))

    def coalesce(self, opened: Opened, refused: Collection[int] = ()) -> list[Buffer]:
        rows, features = opened.rows, self._features
        count = rows.count
        if not features.virtio or rows.stop - rows.start > LARGEST or count > MAX_ROWS:
            return self._plain.coalesce(opened, refused)
        skipped = self._none
        if opened.failed or refused:
            skipped = ffi.new("uint8_t[]", count)
            for i in (*opened.failed, *refused):
                skipped[i] = 1
        at = ffi.from_buffer(rows.buffer) + rows.start
        number = lib.merge_rows(
            *(at, rows.size, count, rows.last, skipped),
            *(features.tcp, features.udp, self._writes_at, self._lengths),
        )
        writes: list[Buffer] = []
        view, begin = memoryview(self._writes), 0
        for length in self._lengths[0:number]:
            writes.append(view[begin : begin + length])
            begin += length
        return writes


def _as_range(counters: Any, count: int) -> Sequence[int]:
    if lib.is_run(counters, count):
        first = counters[0]
        return range(first, first + count)
    numbers: list[int] = ffi.unpack(counters, count)
    return numbers
