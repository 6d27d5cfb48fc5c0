"""What is merged on the way to the TUN interface comes apart again as exactly the packets that came."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from node.core.checksum import Buffer
from node.core.coalesce import coalesce, source_of
from node.core.superpacket import SuperPacket, split
from node.core.tun_features import NO_OFFLOAD, TunFeatures
from node.wire.virtio import PLAIN_BYTES, unpack_virtio
from tests.node.packets import ACK, FIN, PSH, super_packet, tcp, udp

ALL = TunFeatures()
PAYLOAD = bytes(range(256)) * 12


def merged(packets: Sequence[bytes], features: TunFeatures = ALL) -> list[Buffer]:
    return coalesce([memoryview(packet) for packet in packets], features)


def apart(writes: Sequence[Buffer]) -> list[bytes]:
    out: list[bytes] = []
    for write in writes:
        header = unpack_virtio(bytes(write[:10]))
        out += split(SuperPacket(header, memoryview(write)[10:]))
    return out


def stream(count: int, *, is_ipv6: bool = False, size: int = 1000) -> list[bytes]:
    whole = tcp(bytes(range(250)) * (count * size // 250), is_ipv6=is_ipv6)
    return split(super_packet(whole, size))


@pytest.mark.parametrize("is_ipv6", [False, True])
@pytest.mark.parametrize("kind", [tcp, udp])
def test_the_segments_of_one_super_packet_become_one_write(kind: object, is_ipv6: bool) -> None:
    make = tcp if kind is tcp else udp
    packets = split(super_packet(make(PAYLOAD, is_ipv6=is_ipv6), 1000))

    writes = merged(packets)

    assert len(writes) == 1
    assert apart(writes) == packets


def test_a_hole_in_the_sequence_starts_a_new_write() -> None:
    packets = stream(6)
    del packets[2]

    assert [len(write) for write in merged(packets)] == [10 + 2052, 10 + 3052]
    assert apart(merged(packets)) == packets


def test_packets_out_of_order_are_not_put_in_order() -> None:
    first, second, third = stream(3)
    assert apart(merged([second, first, third])) == [second, first, third]
    assert len(merged([second, first, third])) == 3


def test_push_ends_a_write_and_is_kept() -> None:
    whole = tcp(PAYLOAD, flags=ACK | PSH)
    packets = split(super_packet(whole, 1000))
    after = tcp(b"more", sequence=1 + len(PAYLOAD))

    assert apart(merged([*packets, after])) == [*packets, after]
    assert len(merged([*packets, after])) == 2


@pytest.mark.parametrize(
    "odd",
    [
        tcp(b"x" * 1000, sequence=1001, acknowledged=8),
        tcp(b"x" * 1000, sequence=1001, port=40001),
        tcp(b"x" * 1000, sequence=1001, options=b""),
        tcp(b"x" * 1000, sequence=1001, flags=ACK | FIN),
        tcp(b"x" * 1001, sequence=1001),
        tcp(b"", sequence=1001),
        udp(b"x" * 1000),
    ],
    ids=["acknowledges", "port", "options", "fin", "longer", "pure-ack", "udp"],
)
def test_a_packet_that_differs_stays_alone(odd: bytes) -> None:
    packets = [tcp(b"x" * 1000), odd]
    assert len(merged(packets)) == 2
    assert apart(merged(packets)) == packets


@pytest.mark.parametrize("at", [10, 36, 60], ids=["ip-checksum", "tcp-checksum", "payload"])
def test_a_packet_with_a_wrong_checksum_is_left_to_the_kernel(at: int) -> None:
    packets = stream(3)
    packets[1] = packets[1][:at] + bytes([packets[1][at] ^ 1]) + packets[1][at + 1 :]

    assert merged(packets) == [PLAIN_BYTES + packet for packet in packets]


def test_fragments_and_other_protocols_stay_alone() -> None:
    first, second = stream(2)
    icmp = bytearray(first)
    icmp[9] = 1
    fragment = bytearray(second)
    fragment[6:8] = b"\x20\x00"
    packets = [bytes(icmp), bytes(icmp), bytes(fragment), bytes(fragment)]

    assert merged(packets) == [PLAIN_BYTES + packet for packet in packets]


def test_a_write_never_grows_beyond_what_an_ip_header_can_say() -> None:
    packets = [tcp(b"x" * 1300, sequence=1 + 1300 * i, identification=i) for i in range(60)]

    writes = merged(packets)

    assert [len(write) for write in writes] == [10 + 52 + 1300 * 50, 10 + 52 + 1300 * 10]
    assert apart(writes) == packets


def test_only_what_the_interface_takes_is_merged() -> None:
    datagrams = split(super_packet(udp(PAYLOAD), 1000))
    assert len(merged(datagrams, TunFeatures(udp=False))) == 4
    assert len(merged(stream(4), TunFeatures(udp=False))) == 1
    assert merged(stream(4), NO_OFFLOAD) == stream(4)


@pytest.mark.parametrize("features", [ALL, NO_OFFLOAD])
def test_the_source_of_a_write_is_that_of_its_packets(features: TunFeatures) -> None:
    [ipv4] = merged([udp(b"abc")], features)
    [ipv6] = merged([udp(b"abc", is_ipv6=True)], features)
    assert source_of(ipv4, features).hex() == "6440010a"
    assert source_of(ipv6, features).hex() == "fd7a115ca1e00000000000000000000a"
