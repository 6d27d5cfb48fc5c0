"""disco on the wire: every message, its bytes, and nothing else accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.keys import DiscoPublic, NodePublic
from node.wire.disco import (
    PING_SIZE,
    AllocateRequest,
    AllocateResponse,
    Answer,
    Bind,
    CallMeMaybe,
    CallMeMaybeVia,
    Challenge,
    Message,
    Ping,
    Pong,
    RelayEndpoint,
    pack_body,
    pack_packet,
    parse_body,
    parse_packet,
)
from node.wire.endpoint import Endpoint
from node.wire.malformed import Malformed
from tests.node.vectors import VECTORS

DISCO = VECTORS["disco"]
KEYS = VECTORS["keys"]
TXID = bytes.fromhex("707172737475767778797a7b")
NODE_A = NodePublic(bytes.fromhex(KEYS["nodeA"]["public"]))
DISCO_A = DiscoPublic(bytes.fromhex(KEYS["discoA"]["public"]))
DISCO_B = DiscoPublic(bytes.fromhex(KEYS["discoB"]["public"]))
RELAY = DiscoPublic(bytes.fromhex(KEYS["relayDisco"]["public"]))
V4 = Endpoint("203.0.113.9", 41641)
LAN = Endpoint("10.0.1.2", 41641)
V6 = Endpoint("2001:db8::9", 41641)
CHALLENGE = bytes(range(0xB0, 0xD0))
ENDPOINT = RelayEndpoint(
    server=RELAY,
    clients=(DISCO_B, DISCO_A),
    lamport_id=42,
    vni=0xABCD,
    bind_lifetime=30_000_000_000,
    steady_lifetime=300_000_000_000,
    addresses=(Endpoint("198.51.100.5", 40000), Endpoint("10.9.0.5", 40000)),
)

MESSAGES: list[tuple[str, Message]] = [
    ("ping", Ping(TXID, NODE_A)),
    ("ping_padded_1280_v4", Ping(TXID, NODE_A, padding=1128)),
    ("pong", Pong(TXID, V4)),
    ("pong_v6", Pong(TXID, V6)),
    ("call_me_maybe", CallMeMaybe((V4, LAN, V6))),
    ("call_me_maybe_empty", CallMeMaybe()),
    ("bind_udp_relay_endpoint", Bind(0xABCD, 7, DISCO_B)),
    ("bind_udp_relay_endpoint_challenge", Challenge(0xABCD, 7, DISCO_B, CHALLENGE)),
    ("bind_udp_relay_endpoint_answer", Answer(0xABCD, 7, DISCO_B, CHALLENGE)),
    ("ping_via_relay", Ping(TXID, NODE_A)),
    ("call_me_maybe_via", CallMeMaybeVia(ENDPOINT)),
    ("allocate_request", AllocateRequest((DISCO_B, DISCO_A), 3)),
    ("allocate_response", AllocateResponse(3, ENDPOINT)),
]


def test_every_disco_vector_is_in_the_table() -> None:
    named = {name for name, vector in DISCO.items() if isinstance(vector, dict)}
    assert {name for name, _ in MESSAGES} == named


@pytest.mark.parametrize(("name", "message"), MESSAGES)
def test_a_message_has_these_bytes(name: str, message: Message) -> None:
    body = bytes.fromhex(DISCO[name]["body"])
    assert pack_body(message) == body
    assert parse_body(body) == message


@pytest.mark.parametrize(("name", "message"), MESSAGES)
def test_a_message_cut_short_is_malformed_or_a_lesser_message(name: str, message: Message) -> None:
    body = pack_body(message)
    for size in range(len(body)):
        try:
            lesser = parse_body(body[:size])
        except Malformed:
            continue
        assert lesser != message
        assert isinstance(lesser, Ping | CallMeMaybe | CallMeMaybeVia | AllocateResponse)


@pytest.mark.parametrize(
    ("name", "message", "fixed"),
    [
        ("pong", Pong(TXID, V4), 32),
        ("ping", Ping(TXID), 14),
        ("bind", Bind(1, 7, DISCO_B), 74),
        ("allocate request", AllocateRequest((DISCO_B, DISCO_A), 3), 70),
        ("relay endpoint", CallMeMaybeVia(ENDPOINT), 2 + 124 + 18),
    ],
)
def test_the_fixed_part_must_be_there(name: str, message: Message, fixed: int) -> None:
    body = pack_body(message)
    parse_body(body[:fixed])
    with pytest.raises(Malformed):
        parse_body(body[: fixed - 1])


def test_a_ping_without_a_node_key_comes_from_a_very_old_client() -> None:
    assert parse_body(bytes.fromhex("0100") + TXID) == Ping(TXID)


def test_trailing_bytes_are_ignored_after_a_pong() -> None:
    assert parse_body(pack_body(Pong(TXID, V4)) + b"later") == Pong(TXID, V4)


def test_endpoints_of_an_odd_length_read_as_none() -> None:
    assert parse_body(pack_body(CallMeMaybe((V4,))) + b"x") == CallMeMaybe()


def test_a_relay_endpoint_must_end_with_a_whole_address() -> None:
    with pytest.raises(Malformed):
        parse_body(pack_body(CallMeMaybeVia(ENDPOINT)) + b"x")


def test_an_unknown_type_or_version_is_malformed() -> None:
    for body in (b"\x00\x00", b"\x0a\x00", b"\x02\x01" + bytes(30)):
        with pytest.raises(Malformed):
            parse_body(body)


def test_a_ping_of_a_size_fills_the_datagram_to_it() -> None:
    vector = DISCO["ping_padded_1280_v4"]
    assert Ping.of_size(TXID, NODE_A, vector["packet_len"]) == Ping(TXID, NODE_A, padding=1128)
    assert len(bytes.fromhex(DISCO["ping"]["packet"])) == PING_SIZE
    assert Ping.of_size(TXID, NODE_A, 1).padding == 0


def test_a_packet_names_its_sender_before_it_is_opened() -> None:
    packet = bytes.fromhex(DISCO["ping"]["packet"])
    sender, nonce, box = parse_packet(packet)
    assert sender == DISCO_A
    assert nonce.hex() == DISCO["nonce"]
    assert pack_packet(sender, nonce, box) == packet


def test_a_packet_too_short_for_a_box_is_malformed() -> None:
    packet = bytes.fromhex(DISCO["call_me_maybe_empty"]["packet"])
    for size in range(78):
        with pytest.raises(Malformed):
            parse_packet(packet[:size])


@given(st.binary(max_size=300), st.sampled_from([b"", *(bytes([n, 0]) for n in range(1, 10))]))
def test_random_bytes_are_a_message_or_malformed(rest: bytes, start: bytes) -> None:
    try:
        parse_body(start + rest)
    except Malformed:
        return


@given(st.binary(max_size=200))
def test_random_packets_are_malformed_at_worst(rest: bytes) -> None:
    for packet in (rest, bytes.fromhex(DISCO["magic"]) + rest):
        try:
            parse_packet(packet)
        except Malformed:
            continue
