"""A UDP super-packet in a capture is the datagrams that it is made of."""

from __future__ import annotations

from lab.capture.repeats import ip_packet
from lab.capture.superpackets import checksum, datagrams, is_udp

A4, B4 = b"\xc0\xa8\1\2", b"\xc0\xa8\1\1"
A6, B6 = bytes(15) + b"\1", bytes(15) + b"\2"
ETHERNET = bytes(12)
PORTS = (41641, 41641)
PAYLOAD = b"first." + b"second" + b"end"


def test_each_datagram_has_its_own_header_and_lengths() -> None:
    whole = ip_packet(A4, B4, PORTS, PAYLOAD)
    parts = list(datagrams(ETHERNET + b"\x08\x00" + whole, 6, has_ethernet=True))

    assert [part[14 + 28 :] for part in parts] == [b"first.", b"second", b"end"]
    assert [int.from_bytes(part[14 + 2 : 14 + 4], "big") for part in parts] == [34, 34, 31]
    assert [int.from_bytes(part[14 + 24 : 14 + 26], "big") for part in parts] == [14, 14, 11]
    assert [int.from_bytes(part[14 + 4 : 14 + 6], "big") for part in parts] == [0, 1, 2]
    assert [checksum(part[14:34]) for part in parts] == [0, 0, 0]


def test_ipv6_without_a_link_header_is_cut_too() -> None:
    whole = ip_packet(A6, B6, PORTS, PAYLOAD)
    parts = list(datagrams(whole, 6, has_ethernet=False))

    assert parts[1] == ip_packet(A6, B6, PORTS, b"second")
    assert parts[2] == ip_packet(A6, B6, PORTS, b"end")


def test_what_is_no_ip_stays_as_it_is() -> None:
    arp = ETHERNET + b"\x08\x06" + bytes(28)
    assert list(datagrams(arp, 6, has_ethernet=True)) == [arp]


def test_only_udp_is_cut() -> None:
    tcp4, udp = 1, 5  # VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_UDP_L4
    assert [is_udp(kind) for kind in (0, tcp4, udp, udp | 0x80)] == [False, False, True, True]
