"""One read from the TUN interface becomes packets that any host accepts."""

from __future__ import annotations

import pytest

from node.core.superpacket import SuperPacket, destination, ordinary, split
from node.wire.malformed import Malformed
from node.wire.virtio import GSO_TCPV4, NEEDS_CHECKSUM, VirtioHeader, pack_virtio, unpack_virtio
from tests.node.packets import ACK, CWR, FIN, PSH, super_packet, tcp, udp, unfinished

PAYLOAD = bytes(range(256)) * 12


def test_a_virtio_header_is_ten_bytes_in_host_order() -> None:
    header = VirtioHeader(NEEDS_CHECKSUM, GSO_TCPV4, 52, 1368, 20, 16)
    assert pack_virtio(header).hex() == "0101340058051400" + "1000"
    assert unpack_virtio(pack_virtio(header)) == header
    with pytest.raises(Malformed):
        unpack_virtio(bytes(9))


@pytest.mark.parametrize("is_ipv6", [False, True])
def test_tcp_segments_count_on_from_one_another(is_ipv6: bool) -> None:
    start = 2**32 - 1000  # the sequence wraps on the way
    whole = tcp(PAYLOAD, is_ipv6=is_ipv6, sequence=start, identification=0xFFFF)

    assert split(super_packet(whole, 1000)) == [
        tcp(
            PAYLOAD[at : at + 1000],
            is_ipv6=is_ipv6,
            sequence=start + at,
            identification=0xFFFF + at // 1000,
        )
        for at in (0, 1000, 2000, 3000)
    ]


def test_fin_and_push_go_with_the_last_segment_and_cwr_with_the_first() -> None:
    whole = tcp(PAYLOAD, flags=ACK | PSH | FIN | CWR)

    segments = split(super_packet(whole, 1500))

    assert [segment[33] for segment in segments] == [ACK | CWR, ACK, ACK | PSH | FIN]


@pytest.mark.parametrize("is_ipv6", [False, True])
def test_each_udp_segment_is_a_datagram(is_ipv6: bool) -> None:
    whole = udp(PAYLOAD, is_ipv6=is_ipv6, identification=5)

    assert split(super_packet(whole, 1360)) == [
        udp(PAYLOAD[:1360], is_ipv6=is_ipv6, identification=5),
        udp(PAYLOAD[1360:2720], is_ipv6=is_ipv6, identification=6),
        udp(PAYLOAD[2720:], is_ipv6=is_ipv6, identification=7),
    ]


@pytest.mark.parametrize("packet", [tcp(b"abc"), udp(b"abcd"), tcp(b"", is_ipv6=True)])
def test_an_unfinished_checksum_is_finished(packet: bytes) -> None:
    assert unfinished(packet).packet != packet
    assert split(unfinished(packet)) == [packet]
    assert split(ordinary(packet)) == [packet]


def test_a_header_that_does_not_fit_its_packet_is_malformed() -> None:
    header, packet = super_packet(tcp(PAYLOAD), 1000)
    for wrong in (
        header._replace(gso_type=9),
        header._replace(gso_type=4),
        header._replace(gso_size=0),
        header._replace(checksum_start=3120),
        header._replace(checksum_start=8),
    ):
        with pytest.raises(Malformed):
            split(SuperPacket(wrong, packet))
    with pytest.raises(Malformed):
        split(SuperPacket(header, packet[:52]))
    with pytest.raises(Malformed):
        split(SuperPacket(VirtioHeader(NEEDS_CHECKSUM, checksum_start=50), packet[:40]))


def test_the_destination_is_read_from_both_families() -> None:
    assert destination(memoryview(tcp(b""))).hex() == "64400214"
    assert (
        destination(memoryview(tcp(b"", is_ipv6=True))).hex() == "fd7a115ca1e00000000000000000000b"
    )
    assert destination(memoryview(b"\x45" + bytes(10))) == b""
