"""Which of the four kinds a datagram is, and the header of the one that wraps two others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.wire.classify import Kind, classify
from node.wire.geneve import DISCO, WIREGUARD, GeneveHeader, parse_geneve
from node.wire.malformed import Malformed
from tests.node.vectors import VECTORS

GENEVE = VECTORS["geneve"]
VNI = GENEVE["vni"]


def sample(*path: str) -> bytes:
    value = VECTORS
    for key in path:
        value = value[key]
    return bytes.fromhex(str(value))


@pytest.mark.parametrize(
    ("datagram", "kind"),
    [
        (sample("stun", "request"), Kind.STUN),
        (sample("stun", "response_v4"), Kind.STUN),
        (sample("stun", "response_v6"), Kind.STUN),
        (sample("disco", "ping", "packet"), Kind.DISCO),
        (sample("disco", "ping_padded_1280_v4", "packet"), Kind.DISCO),
        (sample("disco", "call_me_maybe_empty", "packet"), Kind.DISCO),
        (sample("disco", "bind_udp_relay_endpoint", "packet"), Kind.GENEVE),
        (sample("disco", "ping_via_relay", "packet"), Kind.GENEVE),
        (sample("geneve", "wireguard") + bytes(32), Kind.GENEVE),
        (b"\x01\0\0\0" + bytes(144), Kind.WIREGUARD),
        (b"\x02\0\0\0" + bytes(88), Kind.WIREGUARD),
        (b"\x03\0\0\0" + bytes(60), Kind.WIREGUARD),
        (b"\x04\0\0\0" + bytes(28), Kind.WIREGUARD),
        (b"\x04\0\0\0" + bytes.fromhex("2112a442") + bytes(24), Kind.WIREGUARD),
        (b"", Kind.WIREGUARD),
        (sample("disco", "magic"), Kind.WIREGUARD),
    ],
)
def test_a_datagram_is_of_this_kind(datagram: bytes, kind: Kind) -> None:
    assert classify(datagram) == kind


@given(st.binary(max_size=100))
def test_every_datagram_is_of_some_kind(datagram: bytes) -> None:
    assert classify(datagram) in Kind


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("disco_control", GeneveHeader(DISCO, VNI, control=True)),
        ("disco_data", GeneveHeader(DISCO, VNI)),
        ("wireguard", GeneveHeader(WIREGUARD, VNI)),
    ],
)
def test_a_geneve_header_has_these_bytes(name: str, header: GeneveHeader) -> None:
    assert header.pack().hex() == GENEVE[name]
    assert parse_geneve(header.pack() + b"inside") == (header, b"inside")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00007a1200abcd",  # cut short
        "40007a1200abcd00",  # another version
        "01007a1200abcd00",  # an option
        "00017a1200abcd00",  # a reserved bit
        "00007a1300abcd00",  # another protocol
        "00007a1200abcd01",  # a reserved byte
    ],
)
def test_another_geneve_header_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse_geneve(bytes.fromhex(text))
