"""WireGuard's messages against bytes that wireguard-go accepted."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.wire.malformed import Malformed
from node.wire.wireguard import CookieReply, Initiation, Response, Transport, parse
from tests.node.vectors import VECTORS

WG = VECTORS["wireguard"]
KEYS = VECTORS["keys"]


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


MESSAGES = [
    (
        Initiation(
            0x11223344,
            raw(KEYS["wgEphI"]["public"]),
            raw(WG["initiation"]["enc_static"]),
            raw(WG["initiation"]["enc_timestamp"]),
            raw(WG["initiation"]["mac1"]),
        ),
        WG["initiation"]["message"],
    ),
    (
        Response(
            0x55667788,
            0x11223344,
            raw(KEYS["wgEphR"]["public"]),
            raw(WG["response"]["enc_nothing"]),
            raw(WG["response"]["mac1"]),
        ),
        WG["response"]["message"],
    ),
    (
        CookieReply(
            0x11223344,
            raw(WG["cookie"]["nonce"]),
            raw(WG["cookie"]["reply_message"])[32:],
        ),
        WG["cookie"]["reply_message"],
    ),
    (
        Transport(0x55667788, 0, raw("703b1d55fadb5083cdde3ae7d493fe69")),
        WG["keepalive_i_to_r"]["message"],
    ),
    (
        Transport(0x55667788, 1, raw(WG["data_i_to_r"]["message"])[16:]),
        WG["data_i_to_r"]["message"],
    ),
]


@pytest.mark.parametrize(("message", "text"), MESSAGES)
def test_a_message_is_these_bytes_and_these_bytes_are_the_message(
    message: Initiation | Response | CookieReply | Transport, text: str
) -> None:
    assert message.pack().hex() == text
    assert parse(raw(text)) == message


@pytest.mark.parametrize("text", [text for _, text in MESSAGES[:3]])
def test_a_handshake_message_has_one_length(text: str) -> None:
    with pytest.raises(Malformed, match="message"):
        parse(raw(text)[:-1])
    with pytest.raises(Malformed, match="message"):
        parse(raw(text) + b"\0")


def test_a_transport_message_has_at_least_a_tag() -> None:
    with pytest.raises(Malformed, match="transport message of 31 bytes"):
        parse(raw(WG["keepalive_i_to_r"]["message"])[:-1])


def test_the_reserved_bytes_are_zero() -> None:
    with pytest.raises(Malformed, match="unknown message type 0x100004"):
        parse(raw("04001000") + bytes(28))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(datagram: bytes) -> None:
    with suppress(Malformed):
        assert parse(datagram).pack() == datagram
