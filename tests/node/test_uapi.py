"""What `wg` reads of a node: the userspace API's text."""

from __future__ import annotations

import pytest

from node.wire.endpoint import Endpoint
from node.wire.uapi import Interface, Peer, Request, pack_error, pack_interface, parse_request

KEY, PEER, SHARED = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32


def test_an_interface_and_its_peers_are_lines_of_words_and_hex() -> None:
    peer = Peer(
        PEER,
        SHARED,
        Endpoint("203.0.113.20", 41641),
        1_700_000_000.25,
        7,
        9,
        25.0,
        ("100.64.2.20/32",),
    )
    assert pack_interface(Interface(KEY, 41641, [peer])).decode().splitlines() == [
        "private_key=" + "01" * 32,
        "listen_port=41641",
        "public_key=" + "02" * 32,
        "preshared_key=" + "03" * 32,
        "protocol_version=1",
        "endpoint=203.0.113.20:41641",
        "last_handshake_time_sec=1700000000",
        "last_handshake_time_nsec=250000000",
        "tx_bytes=7",
        "rx_bytes=9",
        "persistent_keepalive_interval=25",
        "allowed_ip=100.64.2.20/32",
        "errno=0",
        "",
    ]


def test_a_peer_never_heard_of_has_no_endpoint_and_no_handshake() -> None:
    peer = Peer(PEER, bytes(32), None, None, 0, 0, None, ())
    text = pack_interface(Interface(KEY, 41641, [peer])).decode()
    assert "endpoint" not in text
    assert "last_handshake_time_sec=0\nlast_handshake_time_nsec=0\n" in text


def test_an_ipv6_endpoint_is_in_brackets() -> None:
    peer = Peer(PEER, bytes(32), Endpoint("2001:db8::7", 1), None, 0, 0, None, ())
    assert "endpoint=[2001:db8::7]:1\n" in pack_interface(Interface(KEY, 1, [peer])).decode()


@pytest.mark.parametrize(
    ("raw", "request_"),
    [
        (b"get=1", "get"),
        (b"set=1\nlisten_port=7", "set"),
        (b"set=1", "set"),
        (b"get=2", "other"),
        (b"get=1\nx", "other"),
        (b"", "other"),
        (b"\xff\x00", "other"),
    ],
)
def test_requests_are_told_apart(raw: bytes, request_: Request) -> None:
    assert parse_request(raw) == request_


def test_an_error_is_a_negative_number() -> None:
    assert pack_error(1) == b"errno=-1\n\n"


def test_no_key_is_in_the_repr() -> None:
    peer = Peer(PEER, SHARED, None, None, 0, 0, None, ())
    assert repr(SHARED) not in repr(Interface(KEY, 1, [peer]))
    assert repr(KEY) not in repr(Interface(KEY, 1, [peer]))
