"""What kind a packet is, by the first bytes of real ones: taken on a lab's internet, between two homes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.judge.packets import Packet, classify
from tests.node.vectors import VECTORS

HOME_A, HOME_B = "203.0.113.10:41641", "203.0.113.20:41641"
TCP_A, DERP, STUN = "203.0.113.10:55256", "198.51.100.10:443", "198.51.100.10:3478"
FROM_B = "cb007114cb00710aa2a9a2a9"  # addresses and ports, home-b to home-a


@pytest.mark.parametrize(
    ("head", "size", "packet"),
    [
        (
            "45000103d11640003e060496cb00710ac633640ad7d801bbfc5e4f5b1565c11a80180043673e0000"
            "0101080a873080e740f775ae17030300ca",
            259,
            Packet("derp", TCP_A, DERP),
        ),
        (
            "4500003440ce4000400693adc633640acb00710a01bbd7d81565c11afc5e502a80100040666f0000"
            "0101080a40f77e80873080e7",
            52,
            Packet("tcp", DERP, TCP_A),
        ),
        (
            "450000447a8740003e115bd9cb00710ac633640aa2a90d960030668a000100142112a442fdf97f74",
            68,
            Packet("stun", HOME_A, STUN),
        ),
        (
            "4500003cac2e40004011283ac633640acb00710a0d96a2a9002866820101000c2112a442fdf97f74",
            60,
            Packet("stun", STUN, HOME_A),
        ),
        (
            f"4500053c3e4940003e118148{FROM_B}05287d595453f09f92ac8602cf53",
            1340,
            Packet("disco-ping", HOME_B, HOME_A),
        ),
        (
            f"4500008a3e4a40003e1185f9{FROM_B}007678a75453f09f92ac8602cf53",
            138,
            Packet("disco-pong", HOME_B, HOME_A),
        ),
        (
            f"450000783f5440003e118501{FROM_B}006478950200000089c6ea297c66",
            120,
            Packet("handshake", HOME_B, HOME_A),
        ),
        (
            f"4500007c3f5540003e1184fc{FROM_B}00687899040000007c66843900000000",
            124,
            Packet("data", HOME_B, HOME_A),
        ),
        (
            "450000583f550000400184fccb007114cb00710a030358fa00000000",
            88,
            Packet("refusal", "203.0.113.20", "203.0.113.10"),
        ),
        (
            "450000543f550000400184fccb007114cb00710a080058fa00000000",
            84,
            Packet("other", "203.0.113.20", "203.0.113.10"),
        ),
        (
            f"4500003c3f5540003e1184fc{FROM_B}00287899040000007c66843900000000",
            60,
            Packet("keepalive", HOME_B, HOME_A),
        ),
    ],
)
def test_what_was_taken_on_the_wire_is_told_apart(head: str, size: int, packet: Packet) -> None:
    assert classify(bytes.fromhex(head), size) == packet


@pytest.mark.parametrize(
    ("datagram", "kind", "by_peer_relay"),
    [
        (VECTORS["disco"]["ping"]["packet"], "disco-ping", False),
        (VECTORS["disco"]["ping_padded_1280_v4"]["packet"], "disco-ping", False),
        (VECTORS["disco"]["ping_via_relay"]["packet"], "disco-ping", True),
        (VECTORS["disco"]["bind_udp_relay_endpoint"]["packet"], "disco", True),
        (VECTORS["geneve"]["wireguard"] + "04000000" + 60 * "00", "data", True),
        (VECTORS["geneve"]["wireguard"] + "05000000" + 60 * "00", "udp", False),
        ("68656c6c6f", "udp", False),
        ("", "udp", False),
    ],
)
def test_a_datagram_is_told_apart_whichever_ip_carries_it(
    datagram: str, kind: str, by_peer_relay: bool
) -> None:
    payload = bytes.fromhex(datagram)
    for packet in (over_ipv4(payload), over_ipv6(payload)):
        found = classify(packet[:128], len(packet))
        assert found is not None
        assert (found.kind, found.by_peer_relay) == (kind, by_peer_relay)


def test_endpoints_are_written_as_everywhere() -> None:
    packet = over_ipv6(b"hello")
    found = classify(packet, len(packet))
    assert found == Packet("udp", "[2001:db8::1]:41641", "[2001:db8::2]:5000")


def test_a_later_fragment_has_no_ports_to_be_read() -> None:
    packet = bytearray(over_ipv4(b"hello"))
    packet[6:8] = b"\x20\x10"
    assert classify(bytes(packet), 1500) == Packet("other", "203.0.113.10", "203.0.113.20")


def test_asking_the_router_for_a_port_is_an_attempt() -> None:
    packet = bytearray(over_ipv4(b"\0\2"))
    packet[22:24] = (5351).to_bytes(2)  # NAT-PMP and PCP
    found = classify(bytes(packet), len(packet))
    assert found is not None
    assert found.kind == "portmap"


@given(st.binary(max_size=128))
def test_nothing_on_a_wire_can_hurt(head: bytes) -> None:
    found = classify(head, len(head))
    assert found is None or head[0] >> 4 in (4, 6)


def over_ipv4(payload: bytes) -> bytes:
    addresses = bytes((203, 0, 113, 10, 203, 0, 113, 20))
    return bytes.fromhex("450000001234400040110000") + addresses + udp(payload)


def over_ipv6(payload: bytes) -> bytes:
    prefix = bytes.fromhex("20010db8") + bytes(11)
    return bytes.fromhex("6000000000001140") + prefix + b"\1" + prefix + b"\2" + udp(payload)


def udp(payload: bytes) -> bytes:
    return bytes.fromhex("a2a91388") + (8 + len(payload)).to_bytes(2) + b"\0\0" + payload
