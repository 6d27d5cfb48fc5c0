"""STUN: the bytes of both sides, and how strict a server is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.wire import stun
from node.wire.endpoint import Endpoint, parse_endpoint
from node.wire.malformed import Malformed
from tests.node.vectors import VECTORS

STUN = VECTORS["stun"]
TXID = bytes.fromhex(STUN["txid"])
REQUEST = bytes.fromhex(STUN["request"])
ANSWERS = [
    (bytes.fromhex(STUN[f"response_{family}"]), parse_endpoint(STUN[f"response_{family}_addr"]))
    for family in ("v4", "v6")
]
GENERIC_REQUEST = bytes.fromhex("000100082112a442b7e7a701bc34d686fa87dfae8022000441424344")
# RFC 5769 §2.2, without its password and fingerprint
ANSWER_WITH_MORE = (
    "0101 001c 2112a442 b7e7a701bc34d686fa87dfae"
    "8022 000b 7465737420766563746f7220"  # SOFTWARE first, as many servers send it
    "0020 0008 0001a147e112a643"
).replace(" ", "")


def test_a_request_has_these_bytes() -> None:
    assert stun.request(TXID) == REQUEST
    assert len(REQUEST) == STUN["request_len"]
    assert stun.parse_request(REQUEST) == TXID


@pytest.mark.parametrize(("datagram", "endpoint"), ANSWERS)
def test_an_answer_has_these_bytes(datagram: bytes, endpoint: Endpoint) -> None:
    assert stun.response(TXID, endpoint) == datagram
    assert stun.parse_response(datagram) == (TXID, endpoint)


def test_a_strict_server_answers_only_its_own_kind_of_client() -> None:
    with pytest.raises(Malformed, match="SOFTWARE"):
        stun.parse_request(GENERIC_REQUEST)
    with pytest.raises(Malformed, match="SOFTWARE"):
        stun.parse_request(REQUEST.replace(b"tailnode", b"sailnode"))


def test_a_strict_server_wants_a_right_fingerprint_at_the_end() -> None:
    wrong = REQUEST[:-1] + bytes([REQUEST[-1] ^ 1])
    without = REQUEST[:2] + b"\x00\x0c" + REQUEST[4:32]
    not_last = REQUEST[:2] + b"\x00\x18" + REQUEST[4:] + bytes.fromhex("00060000")
    for datagram in (wrong, without, not_last):
        with pytest.raises(Malformed, match="FINGERPRINT"):
            stun.parse_request(datagram)
        assert stun.parse_request(datagram, strict=False) == TXID


def test_a_lax_server_answers_everybody() -> None:
    assert stun.parse_request(GENERIC_REQUEST, strict=False) == GENERIC_REQUEST[8:20]


def test_an_answer_with_other_attributes_is_read() -> None:
    _, endpoint = stun.parse_response(bytes.fromhex(ANSWER_WITH_MORE))
    assert endpoint == Endpoint("192.0.2.1", 32853)


def test_an_old_server_is_understood() -> None:
    xored = ANSWERS[0][0].replace(bytes.fromhex("00200008"), bytes.fromhex("80200008"))
    assert stun.parse_response(xored) == (TXID, Endpoint("203.0.113.9", 41641))
    plain = bytes.fromhex("0101000c2112a442") + TXID + bytes.fromhex("000100080001a2a9cb007109")
    assert stun.parse_response(plain) == (TXID, Endpoint("203.0.113.9", 41641))


def test_a_request_is_no_answer_and_an_answer_no_request() -> None:
    with pytest.raises(Malformed):
        stun.parse_response(REQUEST)
    with pytest.raises(Malformed):
        stun.parse_request(ANSWERS[0][0], strict=False)


@pytest.mark.parametrize("whole", [REQUEST, *(datagram for datagram, _ in ANSWERS)])
def test_any_cut_is_malformed(whole: bytes) -> None:
    for size in range(len(whole)):
        with pytest.raises(Malformed):
            stun.parse_request(whole[:size], strict=False)
        with pytest.raises(Malformed):
            stun.parse_response(whole[:size])


@given(st.binary(max_size=100), st.sampled_from([b"\x00\x01", b"\x01\x01"]), st.integers(0, 100))
def test_random_attributes_are_malformed_at_worst(rest: bytes, kind: bytes, length: int) -> None:
    datagram = kind + length.to_bytes(2) + stun.COOKIE + TXID + rest
    for parse in (stun.parse_request, stun.parse_response):
        try:
            parse(datagram)
        except Malformed:
            continue
