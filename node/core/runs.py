"""Runs: ordinary packets that fit into rows of one size, and so into one send.

What comes one by one from the TUN interface (ACKs, datagrams of a program that knows no offload) usually
comes in runs of equal length, and with equal virtio headers: then their checksums are finished together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

from node.core.equal_run import EqualRun
from node.core.padding import padded
from node.core.rows import HEADER, OVERHEAD, per_send
from node.core.superpacket import SuperPacket, split
from node.wire.malformed import Malformed
from node.wire.virtio import NEEDS_CHECKSUM, VirtioHeader


class Run(NamedTuple):
    packets: Sequence[SuperPacket]
    text: int  # the padded length, of all but perhaps the last
    last: int  # the padded length of the last
    unfinished: VirtioHeader | None  # said of each packet; none of their checksums is finished yet

    @property
    def size(self) -> int:
        return self.text + OVERHEAD


def by_destination(packets: Sequence[SuperPacket]) -> Iterator[Sequence[SuperPacket]]:
    """Neighbours with one destination address, which have one peer."""
    if len(packets) == 1 or isinstance(packets, EqualRun):
        yield packets
        return
    for _, run in groupby(packets, key=attrgetter("destination")):
        yield list(run)


def runs_of(packets: Sequence[SuperPacket], mtu: int) -> Iterator[Run]:
    """Neighbours of equal padded length, the last perhaps shorter, as many as one send takes."""
    begin, end, size, text, length = 0, 0, -1, -1, -1
    for i, (_, packet) in enumerate(packets):
        if len(packet) != length:
            length = len(packet)
            text = padded(length, mtu)
        if text > size or i == end:
            if i > begin:
                yield _run(packets[begin:i], mtu)
            begin, size, end = i, text, i + per_send(text + OVERHEAD)
        elif text < size:
            end = i + 1
    if packets:
        yield _run(packets[begin:], mtu)


def _run(packets: Sequence[SuperPacket], mtu: int) -> Run:
    (header, first), last = packets[0], packets[-1].packet
    text, length = padded(len(first), mtu), len(first)
    if header.flags & NEEDS_CHECKSUM:
        if header.checksum_start + header.checksum_offset + 2 > length:
            raise Malformed(
                f"virtio header: checksum at {header.checksum_start}, beyond the packet"
            )
        if all(len(packet) == length and it == header for it, packet in packets):
            return Run(packets, text, text, header)
    return Run(packets, text, padded(len(last), mtu), None)


def lay(run: Run, buffer: bytearray) -> None:
    """Each packet into its row, with zeros behind it; finished, unless all are to be together."""
    at = HEADER
    for header, packet in run.packets:
        if header.flags & NEEDS_CHECKSUM and run.unfinished is None:
            [whole] = split(SuperPacket(header, packet))
            packet = memoryview(whole)
        end, behind = at + len(packet), at + run.text + (len(packet) & 1)
        buffer[at:end] = packet
        if end != behind:
            buffer[end:behind] = bytes(behind - end)
        at += run.size
