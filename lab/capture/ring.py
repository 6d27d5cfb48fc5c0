"""Packets out of the kernel: TPACKET_V3, a ring of blocks that a packet socket fills and we empty.

Without a system call a packet: with one each, Python would take a third of the packets (packet(7), and
Documentation/networking/packet_mmap.rst for the layouts). The socket was opened in its machine's
namespace by the keeper and belongs there for ever; where it is read does not matter.

Each packet comes with its virtio_net_hdr (PACKET_VNET_HDR), which says how a super-packet is to be cut.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

SOL_PACKET = 263
PACKET_RX_RING, PACKET_STATISTICS, PACKET_VERSION, PACKET_VNET_HDR = 5, 6, 10, 15
TPACKET_V3 = 2
ETH_P_ALL = 0x0003
PACKET_OUTGOING = 4

BLOCK = 1 << 17  # bytes: more than the largest super-packet
BLOCKS = 16  # of each machine, and
BUDGET = 1 << 28  # bytes of all of them
RETIRE = 20  # milliseconds after which the kernel hands over a block that is not full
# Nobody reads a ring that waits for its capture, and one packet is a block: three seconds' worth.
RETIRE_WAITING = 200
FRAME = 1 << 11  # means nothing in version 3, but has to divide BLOCK

_REQUEST = struct.Struct("IIIIIII")  # struct tpacket_req3
_BLOCK = struct.Struct("=8xIII")  # block_status, num_pkts, offset_to_first_pkt
_STATUS, _COUNT = 8, 12  # where block_status is, and num_pkts
_FRAME = struct.Struct("=IIIIIIH")  # next, sec, nsec, snaplen, len, status, mac
_ADDRESS = struct.Struct("=2x2xiHB")  # struct sockaddr_ll: ifindex, hatype, pkttype
_ADDRESS_AT = 48  # sizeof(struct tpacket3_hdr)
_VIRTIO = struct.Struct("=BBHHHH")  # flags, gso_type, hdr_len, gso_size, csum_start, csum_offset
_STATISTICS = struct.Struct("III")
_FOR_USER = 1  # TP_STATUS_USER


class Frame(NamedTuple):  # many are made; a dataclass would take three times as long
    at: int  # nanoseconds, CLOCK_MONOTONIC
    interface: int  # its index
    is_outgoing: bool
    data: bytes
    length: int  # before it was cut
    gso_type: int = 0  # virtio_net_hdr: what it is to be cut into
    gso_size: int = 0


def blocks_for(machines: int) -> int:
    """How many blocks each of so many machines may have."""
    return max(2, min(BLOCKS, BUDGET // BLOCK // max(1, machines)))


def make(tap: socket.socket, blocks: int, retire: int) -> None:
    """The ring of a packet socket that is not bound yet."""
    tap.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
    if _tells_super_packets():
        tap.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    frames = BLOCK // FRAME * blocks
    request = _REQUEST.pack(BLOCK, blocks, FRAME, frames, retire, 0, 0)
    tap.setsockopt(SOL_PACKET, PACKET_RX_RING, request)


def listen(tap: socket.socket, index: int = 0) -> None:
    """From now on packets of this interface, or of all, are taken. (`socket.bind` has no word for all.)"""
    address = struct.pack("=HHi12x", socket.AF_PACKET, socket.htons(ETH_P_ALL), index)
    if ctypes.CDLL(None, use_errno=True).bind(tap.fileno(), address, len(address)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _tells_super_packets() -> bool:
    """Before Linux 6.2 a packet socket had no word for a UDP super-packet, and lost it when asked for one."""
    release = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return release is not None and (int(release[1]), int(release[2])) >= (6, 2)


class Ring:
    def __init__(self, tap: socket.socket, blocks: int) -> None:
        """Of a socket that has one of so many blocks."""
        self._tap, self._blocks = tap, blocks
        self._memory = mmap.mmap(tap.fileno(), BLOCK * blocks)
        self._next = 0
        self._has_virtio = _tells_super_packets()
        self.dropped = 0
        self.taken = 0  # blocks

    def frames(self, wall_clock: int) -> Iterator[Frame]:
        """What there is, in order of time. The kernel stamps packets with the wall clock (see `clock`)."""
        for _ in range(self._blocks):
            start = self._next * BLOCK
            status, count, first = _BLOCK.unpack_from(self._memory, start)
            if not status & _FOR_USER:
                return
            yield from self._block(start + first, count, wall_clock)
            # The count first: with the status the block is the kernel's.
            struct.pack_into("=I", self._memory, start + _COUNT, 0)
            struct.pack_into("=I", self._memory, start + _STATUS, 0)
            self.taken += 1
            self._next = (self._next + 1) % self._blocks

    def _block(self, at: int, count: int, wall_clock: int) -> Iterator[Frame]:
        memory = self._memory
        for _ in range(count):
            step, sec, nsec, kept, length, _status, mac = _FRAME.unpack_from(memory, at)
            index, _hardware, kind = _ADDRESS.unpack_from(memory, at + _ADDRESS_AT)
            start = at + mac
            gso_type = gso_size = 0
            if self._has_virtio:
                _, gso_type, _, gso_size, _, _ = _VIRTIO.unpack_from(memory, start - _VIRTIO.size)
            when = sec * 1_000_000_000 + nsec - wall_clock
            data = memory[start : start + kept]
            yield Frame(when, index, kind == PACKET_OUTGOING, data, length, gso_type, gso_size)
            at += step

    @property
    def holds(self) -> bool:
        """Whether a packet is in the block that comes next, though it may be the kernel's yet."""
        count: int = _BLOCK.unpack_from(self._memory, self._next * BLOCK)[1]
        return count > 0

    def count_drops(self) -> int:
        """How many packets found no room, since the beginning. The kernel forgets what it has told."""
        told = self._tap.getsockopt(SOL_PACKET, PACKET_STATISTICS, _STATISTICS.size)
        self.dropped += _STATISTICS.unpack(told)[1]
        return self.dropped

    def close(self) -> None:
        self._memory.close()
