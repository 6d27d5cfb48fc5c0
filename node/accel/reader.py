"""Reads what waits at a TUN interface in one call: as many packets as there are, end to end."""

from __future__ import annotations

import os

from node.accel.segments import ffi, lib


class Gatherer:
    """See `Gather` in node.io.offload."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lengths = ffi.new("uint32_t[]", most)
        self._alike = ffi.new("int *")

    def __call__(
        self, fd: int, buffer: bytearray, longest: int, skip: int
    ) -> tuple[list[int], bool]:
        count = lib.read_run(
            *(fd, ffi.from_buffer(buffer), len(buffer), longest, skip),
            *(self._most, self._lengths, self._alike),
        )
        if count < 0:
            raise OSError(-count, os.strerror(-count))
        return ffi.unpack(self._lengths, count), bool(self._alike[0])
