"""A session seals and opens batches; the counter is the packet's name."""

import nacl._sodium as sodium
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.core import aead
from node.core.limits import REJECT_AFTER_MESSAGES
from node.core.noise import TransportKeys
from node.core.padding import padding
from node.core.session import Session
from tests.node.vectors import VECTORS

WG = VECTORS["wireguard"]
I_TO_R = bytes.fromhex(WG["transport_keys"]["initiator_send_responder_recv"])
R_TO_I = bytes.fromhex(WG["transport_keys"]["initiator_recv_responder_send"])
PACKET = bytes.fromhex(WG["data_i_to_r"]["inner_ip_packet"])
MTU = 1280


def test_the_keepalive_and_the_data_message_of_the_example() -> None:
    [keepalive, data] = initiator().seal([b"", PACKET], MTU)
    assert keepalive.hex() == WG["keepalive_i_to_r"]["message"]
    assert data.hex() == WG["data_i_to_r"]["message"]

    opened = responder().open([keepalive, data])
    assert [p.hex() for p in opened.plaintexts] == ["", WG["data_i_to_r"]["padded_plaintext"]]


def test_counters_go_on_from_batch_to_batch() -> None:
    session = initiator()
    session.seal([PACKET] * 3, MTU)
    assert session.reserve(2) == 3
    [datagram] = session.seal([PACKET], MTU)
    assert int.from_bytes(datagram[8:16], "little") == 5


def test_a_batch_loses_only_its_forged_and_replayed_ones() -> None:
    sealed = initiator().seal([bytes([i]) * 16 for i in range(4)], MTU)
    broken = sealed[1][:-1] + bytes([sealed[1][-1] ^ 1])
    opened = responder().open([sealed[0], broken, sealed[3], sealed[0], sealed[2], b"\4" * 31])
    assert [p[0] for p in opened.plaintexts] == [0, 3, 2]
    assert (opened.forged, opened.replayed) == (2, 1)


def test_a_forged_counter_does_not_move_the_window() -> None:
    [first, second] = initiator().seal([PACKET, PACKET], MTU)
    session = responder()
    far = second[:8] + (2**63).to_bytes(8, "little") + second[16:]
    assert session.open([far]).forged == 1
    assert len(session.open([first, second]).plaintexts) == 2


def test_a_session_has_room_until_the_last_counter() -> None:
    session = initiator()
    session.send_counter = REJECT_AFTER_MESSAGES - 2
    assert session.has_room(2)
    assert not session.has_room(3)


@pytest.mark.parametrize(
    ("size", "mtu", "expected"),
    [
        (0, 1280, 0),
        (1, 1280, 15),
        (16, 1280, 0),
        (1279, 1280, 1),
        (1280, 1280, 0),
        (1419, 1420, 1),  # never beyond the MTU, which is no multiple of 16
        (1281, 1280, 15),  # more than the MTU: its last part counts
        (1420, 1420, 0),
    ],
)
def test_padding_goes_to_sixteen_but_not_over_the_mtu(size: int, mtu: int, expected: int) -> None:
    assert padding(size, mtu) == expected


@given(
    st.binary(min_size=32, max_size=32),
    st.integers(0, REJECT_AFTER_MESSAGES),
    st.binary(max_size=300),
)
def test_the_fast_calls_and_the_portable_ones_are_the_same(
    key: bytes, counter: int, plaintext: bytes
) -> None:
    seal, open_sealed = aead.direct(sodium)
    sealed = seal(key, counter, plaintext)
    assert sealed == aead.portable_seal(key, counter, plaintext)
    assert open_sealed(key, counter, sealed) == plaintext
    assert aead.portable_open(key, counter, sealed) == plaintext
    for broken in (sealed[:-1], sealed[:10], sealed + b"\0"):
        assert open_sealed(key, counter, broken) is None
        assert aead.portable_open(key, counter, broken) is None


def test_this_pynacl_has_the_fast_calls() -> None:
    assert aead.seal is not aead.portable_seal


def test_other_insides_of_pynacl_are_noticed() -> None:
    with pytest.raises(AttributeError):
        aead.direct(object())


def initiator() -> Session:
    keys = TransportKeys(send=I_TO_R, receive=R_TO_I)
    return Session(
        keys, local_index=0x11223344, remote_index=0x55667788, is_initiator=True, now=0.0
    )


def responder() -> Session:
    keys = TransportKeys(send=R_TO_I, receive=I_TO_R)
    return Session(
        keys, local_index=0x55667788, remote_index=0x11223344, is_initiator=False, now=0.0
    )
