"""The disco box: what one side seals, only the other opens."""

from __future__ import annotations

import pytest

from node.core.disco import DiscoBox
from node.keys import DiscoPrivate, DiscoPublic, NodePublic
from node.wire.disco import Message, Ping, parse_body, parse_packet
from node.wire.geneve import GENEVE_SIZE
from node.wire.malformed import Malformed
from tests.node.vectors import VECTORS

DISCO = VECTORS["disco"]
NONCE = bytes.fromhex(DISCO["nonce"])
TXID = bytes.fromhex(DISCO["ping"]["txid"])
NAMES = [name for name, vector in DISCO.items() if isinstance(vector, dict)]


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_opens_and_is_sealed_again_to_the_same_bytes(name: str) -> None:
    packet, message = packet_of(name), message_of(name)
    sender = box_of("relayDisco" if name.endswith("_challenge") else "discoA")
    receiver = box_of(receiver_of(name))
    assert receiver.open(packet) == (sender.public, message)
    assert sender.seal(message, receiver.public, NONCE) == packet


def test_a_packet_for_somebody_else_does_not_open() -> None:
    with pytest.raises(Malformed):
        box_of("relayDisco").open(packet_of("ping"))


def test_a_changed_bit_does_not_open() -> None:
    packet = bytearray(packet_of("ping"))
    packet[-1] ^= 1
    with pytest.raises(Malformed):
        box_of("discoB").open(bytes(packet))


def test_a_key_of_low_order_is_malformed_and_not_an_error() -> None:
    packet = bytearray(packet_of("ping"))
    packet[6:38] = bytes(32)
    with pytest.raises(Malformed):
        box_of("discoB").open(bytes(packet))
    with pytest.raises(Malformed):
        box_of("discoB").seal(Ping(TXID), DiscoPublic(bytes(32)), NONCE)


def test_a_sealed_packet_opens_again_after_its_sender_was_forgotten() -> None:
    alice, bob = box_of("discoA"), box_of("discoB")
    ping = Ping(TXID, NodePublic(bytes(32)))
    packet = alice.seal(ping, bob.public, NONCE)
    bob.open(packet)
    bob.forget(alice.public)
    assert bob.open(packet) == (alice.public, ping)


def box_of(name: str) -> DiscoBox:
    return DiscoBox(DiscoPrivate(bytes.fromhex(VECTORS["keys"][name]["private"])))


def packet_of(name: str) -> bytes:
    packet = bytes.fromhex(DISCO[name]["packet"])
    return packet if packet.startswith(b"TS") else packet[GENEVE_SIZE:]


def message_of(name: str) -> Message:
    return parse_body(bytes.fromhex(DISCO[name]["body"]))


def receiver_of(name: str) -> str:
    """The one of the three who can open it; the vectors name it in prose."""
    if name.endswith("_challenge"):
        return "discoA"
    to_relay = name.startswith(("bind_", "allocate_request"))
    candidates = ["relayDisco", "discoB"] if to_relay else ["discoB", "relayDisco"]
    for candidate in candidates:
        try:
            box_of(candidate).open(packet_of(name))
        except Malformed:
            continue
        return candidate
    raise AssertionError(f"nobody opens {name}: {parse_packet(packet_of(name))}")
