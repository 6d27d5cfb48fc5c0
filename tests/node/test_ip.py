"""What a tunnel reads of an IP packet."""

from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.wire import ip
from node.wire.malformed import Malformed

V4 = bytes.fromhex("4500001c000040004001725e64400001644000020800f7ff00000000")
V6 = bytes.fromhex(
    "6000000000081140fd7a115ca1e00000000000000000000120010db80000000000000000000000020001000200080000"
)


@pytest.mark.parametrize(
    ("packet", "source", "destination", "length", "protocol"),
    [
        (V4, "100.64.0.1", "100.64.0.2", 28, 1),
        (V6, "fd7a:115c:a1e0::1", "2001:db8::2", 48, 17),
    ],
)
def test_the_fields_of_a_packet(
    packet: bytes, source: str, destination: str, length: int, protocol: int
) -> None:
    assert ip.source(packet) == ip_address(source).packed
    assert ip.destination(packet) == ip_address(destination).packed
    assert ip.length(packet + bytes(4)) == length
    assert ip.protocol(packet) == protocol
    assert ip.payload(packet + bytes(4)) == packet[-8:]


@pytest.mark.parametrize("packet", [b"", b"\x45", V4[:19], V6[:39], bytes(60), b"\xf0" * 60])
def test_too_short_or_of_another_version_is_malformed(packet: bytes) -> None:
    for read in (ip.source, ip.destination, ip.length, ip.protocol, ip.payload):
        with pytest.raises(Malformed, match="neither"):
            read(packet)


@pytest.mark.parametrize("length", [0, 19, 29])
def test_a_length_outside_the_packet_is_malformed(length: int) -> None:
    with pytest.raises(Malformed, match=f"length {length} in a packet of 28 bytes"):
        ip.length(V4[:2] + length.to_bytes(2, "big") + V4[4:])


@given(st.binary(max_size=80))
def test_any_bytes_have_a_length_within_or_are_malformed(packet: bytes) -> None:
    with suppress(Malformed):
        assert 20 <= ip.length(packet) <= len(packet)
