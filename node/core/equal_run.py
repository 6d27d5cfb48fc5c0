"""Many ordinary packets to one destination, alike in length and in virtio header, as they were read.

That is what a program that knows no offload makes of bulk data, and what ACKs are. They lie at equal
distances in one buffer, so a fast way can take them all in one step; for any other they are a sequence of
packets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from node.core.superpacket import SuperPacket
from node.wire.virtio import VirtioHeader


class EqualRun(Sequence[SuperPacket]):
    """`number` packets of `length` bytes, the first at `start`, the next ones `step` bytes further."""

    __slots__ = ("buffer", "header", "length", "number", "start", "step")

    def __init__(
        self,
        header: VirtioHeader,
        buffer: bytearray,
        start: int,
        step: int,
        length: int,
        number: int,
    ) -> None:
        self.header, self.buffer = header, buffer
        self.start, self.step, self.length, self.number = start, step, length, number

    def __len__(self) -> int:
        return self.number

    @overload
    def __getitem__(self, i: int) -> SuperPacket: ...
    @overload
    def __getitem__(self, i: slice) -> Sequence[SuperPacket]: ...
    def __getitem__(self, i: int | slice) -> SuperPacket | Sequence[SuperPacket]:
        if isinstance(i, slice):
            return [self[each] for each in range(self.number)[i]]
        at = self.start + range(self.number)[i] * self.step
        return SuperPacket(self.header, memoryview(self.buffer)[at : at + self.length])
