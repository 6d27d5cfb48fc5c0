"""WebSocket frames: the examples of RFC 6455, any way of cutting them up, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.wire.malformed import Malformed
from node.wire.websocket import Opcode, Unframer, accept_key, is_key, pack, xor

HELLO = b"Hello"
MASK = bytes.fromhex("37fa213d")


def test_the_answer_to_a_key() -> None:  # §1.3
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("text", "is_one"),
    [("dGhlIHNhbXBsZSBub25jZQ==", True), ("dGhl", False), ("", False), ("no base64!", False)],
)
def test_a_key_is_16_bytes_in_base64(text: str, is_one: bool) -> None:
    assert is_key(text) == is_one


@pytest.mark.parametrize(
    ("frame", "opcode", "payload", "mask"),
    [  # §5.7, as far as it is about binary messages and control frames
        ("890548656c6c6f", Opcode.PING, HELLO, None),
        ("8a8537fa213d7f9f4d5158", Opcode.PONG, HELLO, MASK),
        ("828537fa213d7f9f4d5158", Opcode.BINARY, HELLO, MASK),
        ("827e0100" + "55" * 256, Opcode.BINARY, b"U" * 256, None),
        ("827f0000000000010000" + "55" * 65536, Opcode.BINARY, b"U" * 65536, None),
        ("8202" + "4142", Opcode.BINARY, b"AB", None),
        ("827d" + "41" * 125, Opcode.BINARY, b"A" * 125, None),
        ("827e007e" + "41" * 126, Opcode.BINARY, b"A" * 126, None),
        ("827effff" + "41" * 65535, Opcode.BINARY, b"A" * 65535, None),
        ("880203e8", Opcode.CLOSE, b"\x03\xe8", None),
    ],
)
def test_frames(frame: str, opcode: Opcode, payload: bytes, mask: bytes | None) -> None:
    packed = pack(opcode, payload, mask)
    assert packed == bytes.fromhex(frame)
    unframer = Unframer(masked=mask is not None)
    assert unframer.receive(packed) == (payload if opcode is Opcode.BINARY else b"")
    assert unframer.pings == ([payload] if opcode is Opcode.PING else [])
    assert unframer.closed == (opcode is Opcode.CLOSE)


messages = st.lists(st.tuples(st.binary(max_size=300), st.binary(min_size=4, max_size=4)))


@given(messages, st.booleans(), st.data())
def test_a_stream_comes_out_as_it_went_in_however_it_is_cut(
    messages: list[tuple[bytes, bytes]], masked: bool, data: st.DataObject
) -> None:
    frames = [pack(Opcode.BINARY, each, mask if masked else None) for each, mask in messages]
    stream = b"".join(frames)
    unframer, out = Unframer(masked), b""
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        out += unframer.receive(stream[:size])
        stream = stream[size:]
    assert out == b"".join(each for each, _ in messages)


@given(st.binary(max_size=100), st.binary(min_size=4, max_size=4), st.integers(0, 100))
def test_masking_is_byte_by_byte(data: bytes, mask: bytes, offset: int) -> None:
    naive = bytes(byte ^ mask[(offset + i) % 4] for i, byte in enumerate(data))
    assert xor(data, mask, offset) == naive


def test_a_message_in_pieces_with_a_ping_between_them() -> None:
    unframer = Unframer(masked=False)
    stream = bytes.fromhex("0203" + "414243" + "8900" + "0001" + "44" + "8001" + "45")
    assert unframer.receive(stream) == b"ABCDE"
    assert unframer.pings == [b""]


def test_nothing_counts_after_goodbye() -> None:
    unframer = Unframer(masked=False)
    assert unframer.receive(pack(Opcode.CLOSE, b"") + pack(Opcode.BINARY, b"late")) == b""
    assert unframer.receive(b"\xff\xff") == b""


@pytest.mark.parametrize(
    ("frame", "masked"),
    [
        ("8100", False),  # text
        ("c200", False),  # a reserved bit: compressed
        ("8200", True),  # a client that does not mask
        ("828000000000", False),  # a server that does
        ("0900", False),  # a ping in pieces
        ("897e0080", False),  # a ping too long
        ("8b00", False),  # no such control frame
        ("8000", False),  # the rest of a message that never began
        ("02008200", False),  # a message that begins within another
        ("827f8000000000000000", False),  # §5.2: the highest bit is zero
    ],
)
def test_what_is_no_frame_of_ours(frame: str, masked: bool) -> None:
    with pytest.raises(Malformed):
        Unframer(masked).receive(bytes.fromhex(frame))


@given(st.lists(st.binary(max_size=40)), st.booleans())
def test_garbage_raises_malformed_and_nothing_else(pieces: list[bytes], masked: bool) -> None:
    unframer = Unframer(masked)
    try:
        for piece in pieces:
            assert len(unframer.receive(piece)) <= sum(map(len, pieces))
    except Malformed:
        pass
