"""virtio_net_hdr: the 10 bytes before each packet of a TUN interface opened with IFF_VNET_HDR.

    flags 1 | GSO type 1 | header length 2 | GSO size 2 | checksum start 2 | checksum offset 2

in host order (VIRTIO 1.2 §5.1.6). On reading it says what the kernel left undone: a checksum to finish
(NEEDS_CHECKSUM: from `checksum_start` to the end, stored `checksum_offset` behind the start, where the
pseudo header's sum already is), or a super-packet to be split into segments of `gso_size` bytes. On
writing it says the same to the kernel. The header length is a hint that has been wrong; it is not used.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

from node.wire.malformed import Malformed

VIRTIO_SIZE = 10
NEEDS_CHECKSUM = 1
GSO_NONE = 0
GSO_TCPV4 = 1
GSO_TCPV6 = 4
GSO_UDP = 5  # UDP_L4: each segment a datagram with its own UDP header
GSO_ECN = 0x80  # a bit beside the type: the first segment carries CWR

_HEADER = struct.Struct("=BBHHHH")


class VirtioHeader(NamedTuple):
    flags: int = 0
    gso_type: int = GSO_NONE
    header_length: int = 0
    gso_size: int = 0
    checksum_start: int = 0
    checksum_offset: int = 0


PLAIN = VirtioHeader()
PLAIN_BYTES = bytes(VIRTIO_SIZE)


def pack_virtio(header: VirtioHeader) -> bytes:
    return _HEADER.pack(*header)


@lru_cache(maxsize=256)  # a flow repeats its few headers, and equal ones are then the same object
def unpack_virtio(raw: bytes) -> VirtioHeader:
    if len(raw) != VIRTIO_SIZE:
        raise Malformed(f"virtio header: {len(raw)} bytes, not {VIRTIO_SIZE}")
    return VirtioHeader(*_HEADER.unpack(raw))
