"""The disco key advertisement inside the tunnel, byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.keys import DiscoPublic
from node.wire.malformed import Malformed
from node.wire.tsmp import is_tsmp, pack_advertisement, parse_advertisement

KEY = DiscoPublic(bytes(range(32)))

IPV4 = (
    "45000035"
    "00000000"
    "4063aec8"
    "6440010a"
    "64400214"  # header, 100.64.1.10 to 100.64.2.20
    "61" + bytes(range(32)).hex()
)
IPV6 = (
    "60000000"
    "00216340"
    "fd7aa1e0000000000000000000000001"
    "fd7aa1e0000000000000000000000002"
    "61" + bytes(range(32)).hex()
)


@pytest.mark.parametrize(
    ("source", "destination", "packet"),
    [("100.64.1.10", "100.64.2.20", IPV4), ("fd7a:a1e0::1", "fd7a:a1e0::2", IPV6)],
)
def test_an_advertisement_is_an_ip_packet_of_protocol_99(
    source: str, destination: str, packet: str
) -> None:
    packed = pack_advertisement(KEY, source, destination)
    assert packed.hex() == packet
    assert is_tsmp(packed)
    assert parse_advertisement(packed) == KEY


def test_other_messages_are_no_advertisement() -> None:
    ping = bytes.fromhex(IPV4)[:20] + b"\x70" + bytes(8)
    assert is_tsmp(ping)
    assert parse_advertisement(ping) is None


def test_bytes_behind_the_key_are_ignored() -> None:
    assert parse_advertisement(bytes.fromhex(IPV4) + b"more") == KEY


@pytest.mark.parametrize(
    "packet",
    [
        "",
        "45",
        IPV4[:40],
        IPV4[:-2],
        IPV6[:78],
        IPV6[:-2],
        "41" + IPV4[2:],
        IPV4.replace("4063", "4011"),
    ],
)
def test_what_is_no_tsmp_packet_is_malformed(packet: str) -> None:
    with pytest.raises(Malformed):
        parse_advertisement(bytes.fromhex(packet))


@given(st.binary(max_size=100))
def test_any_bytes_are_a_key_or_nothing_or_malformed(packet: bytes) -> None:
    try:
        key = parse_advertisement(packet)
    except Malformed:
        return
    assert key is None or key.raw in packet
