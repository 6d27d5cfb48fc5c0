"""The handshake, byte for byte, from fixed keys."""

import pytest
from msgspec.structs import replace

from node.core.aead import nonce_of, open_with
from node.core.cookies import CookieJar
from node.core.limits import Limits
from node.core.noise import (
    INITIAL_CHAIN_KEY,
    INITIAL_HASH,
    Initiated,
    Received,
    consume_response,
    create_initiation,
    create_response,
    kdf,
    read_static,
    read_timestamp,
    shared_secret,
)
from node.core.tai64n import tai64n
from node.keys import NodePrivate, NodePublic
from node.wire.wireguard import Initiation, parse
from tests.node.vectors import VECTORS

WG = VECTORS["wireguard"]
NO_PSK = bytes(32)


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def private(name: str) -> NodePrivate:
    return NodePrivate(raw(VECTORS["keys"][name]["private"]))


A, B = private("nodeA"), private("nodeB")
EPHEMERAL_A, EPHEMERAL_B = private("wgEphI").raw, private("wgEphR").raw
TIMESTAMP = raw(WG["tai64n"]["whitened_bytes"])


def test_the_handshake_starts_from_two_constants() -> None:
    assert INITIAL_CHAIN_KEY.hex() == WG["constants"]["initial_chain_key"]
    assert INITIAL_HASH.hex() == WG["constants"]["initial_hash"]


def test_a_timestamp_is_tai64n_with_its_low_bits_cleared() -> None:
    assert tai64n(1700000000.123456789).hex() == WG["tai64n"]["whitened_bytes"]


def test_timestamps_grow_with_time() -> None:
    times = [1700000000 + i * 0.0168 for i in range(200)]
    stamps = [tai64n(t) for t in times]
    assert stamps == sorted(set(stamps))


def test_the_initiation() -> None:
    initiated, message = initiation()
    assert (
        CookieJar(B.public, Limits()).sign(message.pack(), 0.0).hex() == WG["initiation"]["message"]
    )
    assert initiated.chain_key.hex() == WG["initiation"]["ck_after"]
    assert initiated.transcript.hex() == WG["initiation"]["h_after"]


def test_the_responder_reads_who_initiates_and_when() -> None:
    received = receive(initiation()[1])
    assert received.initiator == A.public
    assert received.timestamp == TIMESTAMP
    assert received.chain_key.hex() == WG["initiation"]["ck_after"]
    assert received.transcript.hex() == WG["initiation"]["h_after"]


def test_the_keys_that_seal_the_initiation() -> None:
    # Opened with the published keys, so each intermediate key is checked by what it seals.
    message = initiation()[1]
    claimed = read_static(B, B.public, message)
    assert claimed is not None
    key = raw(WG["initiation"]["k_timestamp"])
    assert open_with(key, 0, message.sealed_timestamp, claimed.transcript) == TIMESTAMP
    secret = shared_secret(EPHEMERAL_A, B.public.raw)
    assert secret is not None
    (chain_key,) = kdf(1, INITIAL_CHAIN_KEY, message.ephemeral)
    assert kdf(2, chain_key, secret)[1].hex() == WG["initiation"]["k_static"]


@pytest.mark.parametrize(
    ("psk", "name", "send", "receive"),
    [
        (
            NO_PSK,
            "response",
            WG["transport_keys"]["initiator_send_responder_recv"],
            WG["transport_keys"]["initiator_recv_responder_send"],
        ),
        (
            raw(WG["response_with_psk"]["psk"]),
            "response_with_psk",
            WG["response_with_psk"]["initiator_send"],
            WG["response_with_psk"]["initiator_recv"],
        ),
    ],
)
def test_the_response_and_the_keys_of_both_ends(
    psk: bytes, name: str, send: str, receive: str
) -> None:
    initiated, message = initiation()
    created = create_response(
        received_by_b(message), preshared_key=psk, ephemeral=EPHEMERAL_B, index=0x55667788
    )
    assert created is not None
    keys, response = created
    assert CookieJar(A.public, Limits()).sign(response.pack(), 0.0).hex() == WG[name]["message"]
    assert (keys.receive.hex(), keys.send.hex()) == (send, receive)

    ours = consume_response(A, initiated, response, preshared_key=psk)
    assert ours is not None
    assert (ours.send.hex(), ours.receive.hex()) == (send, receive)


def test_another_preshared_key_does_not_open_the_response() -> None:
    initiated, message = initiation()
    created = create_response(
        received_by_b(message), preshared_key=b"\1" * 32, ephemeral=EPHEMERAL_B, index=1
    )
    assert created is not None
    assert consume_response(A, initiated, created[1], preshared_key=NO_PSK) is None


def test_an_initiation_for_somebody_else_cannot_be_read() -> None:
    other = private("derpServer")
    assert read_static(other, other.public, initiation()[1]) is None


def test_a_changed_timestamp_is_refused() -> None:
    message = initiation()[1]
    forged = replace(message, sealed_timestamp=bytes(28))
    claimed = read_static(B, B.public, forged)
    assert claimed is not None
    assert read_timestamp(B, claimed) is None


def test_a_degenerate_public_key_makes_no_handshake() -> None:
    zero = NodePublic(bytes(32))
    assert shared_secret(A.raw, zero.raw) is None
    assert create_initiation(A, zero, ephemeral=EPHEMERAL_A, index=1, timestamp=TIMESTAMP) is None
    message = replace(initiation()[1], ephemeral=zero.raw)
    assert read_static(B, B.public, message) is None


def test_the_nonce_is_four_zeros_and_the_counter() -> None:
    assert nonce_of(0x0102).hex() == "000000000201000000000000"


def test_private_material_is_in_no_repr() -> None:
    initiated, message = initiation()
    values = initiated, received_by_b(message)
    text = repr(values) + repr([each.__rich_repr__() for each in values])
    for secret in (EPHEMERAL_A, initiated.chain_key, initiated.transcript):
        assert repr(secret)[2:-1] not in text


def initiation() -> tuple[Initiated, Initiation]:
    created = create_initiation(
        A, B.public, ephemeral=EPHEMERAL_A, index=0x11223344, timestamp=TIMESTAMP
    )
    assert created is not None
    return created


def received_by_b(message: Initiation) -> Received:
    parsed = parse(message.pack())
    assert isinstance(parsed, Initiation)
    return receive(parsed)


def receive(message: Initiation) -> Received:
    claimed = read_static(B, B.public, message)
    assert claimed is not None
    received = read_timestamp(B, claimed)
    assert received is not None
    return received
