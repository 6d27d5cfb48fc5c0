"""A handshake that went through a relay is repeated where the data that it opens is seen, once an address."""

from __future__ import annotations

import base64
from hashlib import blake2s

from lab.capture.repeats import Repeats, data_message, ip_packet, logged

A_KEY, B_KEY = b"\x0a" * 32, b"\x0b" * 32
A_INDEX, B_INDEX = 0x1111, 0x2222
INITIATION = b"\1\0\0\0" + A_INDEX.to_bytes(4, "little") + bytes(140)
RESPONSE = b"\2\0\0\0" + B_INDEX.to_bytes(4, "little") + A_INDEX.to_bytes(4, "little") + bytes(80)
A, B, B_OUTSIDE = b"\xc0\xa8\1\2", b"\xc0\xa8\2\2", b"\xcb\0\x71\x14"
PORT = 41641


def test_both_messages_come_before_the_first_data() -> None:
    initiation, response = repeats().before(data(A, B, B_INDEX)) or (b"", b"")

    assert (initiation[12:20], response[12:20]) == (A + B, B + A)
    assert (initiation[28], response[28]) == (1, 2)


def test_what_goes_back_is_answered_by_whom_it_goes_to() -> None:
    initiation, response = repeats().before(data(B, A, A_INDEX)) or (b"", b"")

    assert (initiation[12:20], response[12:20]) == (A + B, B + A)


def test_only_the_receivers_index_is_kept_so_that_directions_share_no_session() -> None:
    initiation, response = repeats().before(data(A, B, B_INDEX)) or (b"", b"")
    assert index(response, 4) == B_INDEX
    assert index(initiation, 4) == index(response, 8) != A_INDEX

    initiation, response = repeats().before(data(B, A, A_INDEX)) or (b"", b"")
    assert index(initiation, 4) == index(response, 8) == A_INDEX
    assert index(response, 4) != B_INDEX


def test_mac1_is_right_for_the_new_index() -> None:
    initiation, _ = repeats().before(data(A, B, B_INDEX)) or (b"", b"")
    message = initiation[28:]
    key = blake2s(b"mac1----" + B_KEY).digest()  # WireGuard §5.4.4
    assert message[116:132] == blake2s(message[:116], digest_size=16, key=key).digest()


def test_it_is_repeated_once_a_destination() -> None:
    known = repeats()
    assert known.before(data(A, B, B_INDEX)) is not None
    assert known.before(data(A, B, B_INDEX)) is None
    assert known.before(data(A, B_OUTSIDE, B_INDEX)) is not None  # the same packet, outside a NAT


def test_a_session_of_strangers_is_not_repeated() -> None:
    assert repeats().before(data(A, B, 0x3333)) is None
    assert Repeats().before(data(A, B, B_INDEX)) is None


def test_the_two_key_logs_may_be_read_in_either_order() -> None:
    known = Repeats()
    known.learn(log(A_KEY, RESPONSE))
    known.learn(log(B_KEY, INITIATION))
    assert known.before(data(A, B, B_INDEX)) is not None


def test_broken_lines_of_a_key_log_are_no_handshakes() -> None:
    assert list(logged(b"HANDSHAKE_MESSAGE = !!!\nHANDSHAKE_MESSAGE = AQ==\nwhat\n\xff = \n")) == []
    assert list(logged(log(b"short", INITIATION))) == []


def test_what_is_no_data_message_is_none() -> None:
    assert data_message(b"") is None
    assert data_message(ip_packet(A, B, (PORT, PORT), b"\4\0\0\0")) is None  # cut short
    assert data_message(ip_packet(A, B, (PORT, PORT), INITIATION)) is None
    assert data_message(data(bytes(16), bytes(16), 7)) is not None  # IPv6


def repeats() -> Repeats:
    known = Repeats()
    known.learn(log(B_KEY, INITIATION))
    known.learn(log(A_KEY, RESPONSE))
    return known


def log(to: bytes, message: bytes) -> bytes:
    key, text = base64.b64encode(to).decode(), base64.b64encode(message).decode()
    return f"REMOTE_STATIC_PUBLIC_KEY = {key}\nHANDSHAKE_MESSAGE = {text}\n".encode()


def data(source: bytes, destination: bytes, receiver: int) -> bytes:
    message = b"\4\0\0\0" + receiver.to_bytes(4, "little") + bytes(24)
    return ip_packet(source, destination, (PORT, PORT), message)


def index(ip: bytes, at: int) -> int:
    return int.from_bytes(ip[28 + at : 32 + at], "little")
