"""The data path under fuzzing: whatever comes, all ways through it do what the plain one does.

What the kernel hands over, a program may have made; and a peer that means harm seals whatever it likes.
"""

from __future__ import annotations

from node.core.numpy_segments import NumpySegments
from node.core.row_cipher import CIPHERS
from node.core.rows import Rows
from node.core.segments import PlainSegments, Segments
from node.core.superpacket import SuperPacket, ordinary, split
from node.core.tun_features import TunFeatures
from node.wire.malformed import Malformed
from node.wire.virtio import VIRTIO_SIZE, unpack_virtio
from tests.node.packets import tcp, udp

MTU, KEY, RECEIVER = 1420, bytes(range(32)), 7
PLAIN = PlainSegments(MTU, TunFeatures())
OTHERS: list[Segments] = [NumpySegments(MTU, TunFeatures(), each) for each in CIPHERS]
try:
    from node.accel.segments import AcceleratedSegments, ciphers
except ImportError:  # no compiler was there
    pass
else:
    OTHERS += [AcceleratedSegments(MTU, TunFeatures(), each) for each in ciphers()]


def tun_reads(data: bytes) -> None:
    """A virtio header and a packet, any."""
    if len(data) < VIRTIO_SIZE:
        return
    read = SuperPacket(unpack_virtio(data[:VIRTIO_SIZE]), memoryview(data)[VIRTIO_SIZE:])
    expected = sealed(PLAIN, read)
    for way in OTHERS:
        assert sealed(way, read) == expected, way.name


def sealed(way: Segments, read: SuperPacket) -> list[bytes] | None:
    """None: it is refused."""
    try:
        rows = way.seal_superpacket(KEY, RECEIVER, 0, read)
    except Malformed:
        return None
    return [bytes(datagram) for each in rows for datagram in each.datagrams()]


def tunnel_batches(data: bytes) -> None:
    """Packets that would merge, with a few bytes of each changed: (row, place, value) each."""
    make, is_ipv6 = (tcp, udp)[len(data) % 2], bool(len(data) & 2)
    packets = [bytearray(make(bytes(40), is_ipv6=is_ipv6)) for _ in range(6)]
    for i in range(0, len(data) - 2, 3):
        packet = packets[data[i] % len(packets)]
        packet[data[i + 1] % len(packet)] ^= data[i + 2]
    rows = PLAIN.seal_packets(KEY, RECEIVER, 0, [ordinary(bytes(each)) for each in packets])
    whole = b"".join(bytes(each.data) for each in rows)
    expected = opened(PLAIN, whole, rows[0].size)
    for way in OTHERS:
        assert opened(way, whole, rows[0].size) == expected, way.name


def opened(way: Segments, whole: bytes, size: int) -> list[bytes]:
    rows = Rows(bytearray(whole.ljust(1 << 17, b"\xaa")), 0, len(whole), size)
    writes = [bytes(write) for write in way.coalesce(way.open(KEY, rows))]
    return [without_number(packet) for write in writes for packet in split(written(write))]


def without_number(packet: bytes) -> bytes:
    """What is not fragmented has an identification without a meaning (RFC 6864 §4.1)."""
    if packet[0] >> 4 == 6:
        return packet
    return packet[:4] + bytes(2) + packet[6:10] + bytes(2) + packet[12:]


def written(write: bytes) -> SuperPacket:
    return SuperPacket(unpack_virtio(write[:VIRTIO_SIZE]), memoryview(write)[VIRTIO_SIZE:])
