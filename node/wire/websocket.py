"""WebSocket framing (RFC 6455) for one use: a byte stream in binary messages.

    FIN, 3 reserved bits, opcode 4 | MASK, length 7 (| length 16 or 64) (| mask 4) | payload

Where one message ends and the next begins means nothing here, so a payload is handed on as it comes,
however long its frame says it is. What a client sends is masked, what a server sends is not: the
other way round is an error (§5.1). No extension is ever agreed on, so reserved bits are zero.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from enum import IntEnum

from node.wire.malformed import Malformed

SUBPROTOCOL = "derp"
VERSION = "13"
KEY_SIZE = 16  # bytes, before base64
MAX_CONTROL = 125  # bytes of a ping, pong or close
NORMAL_CLOSURE = 1000

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # §1.3
_FIN, _RESERVED, _MASKED = 0x80, 0x70, 0x80


class Opcode(IntEnum):
    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


def new_key(random: Callable[[int], bytes]) -> str:
    return base64.b64encode(random(KEY_SIZE)).decode()


def accept_key(key: str) -> str:
    """What a server answers to `Sec-WebSocket-Key`; §4.2.2."""
    import hashlib  # late: few use WebSockets

    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID).digest()).decode()


def is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == KEY_SIZE
    except ValueError:
        return False


def xor(data: bytes | memoryview, mask: bytes, offset: int = 0) -> bytes:
    """Masks and unmasks; `offset`: how much of the payload came before. §5.3."""
    size = len(data)
    turned = mask[offset % 4 :] + mask[: offset % 4]
    pattern = (turned * (size // 4 + 1))[:size]
    mixed = int.from_bytes(data, "little") ^ int.from_bytes(pattern, "little")
    return mixed.to_bytes(size, "little")


def pack(opcode: Opcode, payload: bytes | memoryview, mask: bytes | None = None) -> bytes:
    """One whole frame; a client gives a mask of 4 random bytes."""
    bit = 0 if mask is None else _MASKED
    size = len(payload)
    if size < 126:
        header = struct.pack(">BB", _FIN | opcode, bit | size)
    elif size <= 0xFFFF:
        header = struct.pack(">BBH", _FIN | opcode, bit | 126, size)
    else:
        header = struct.pack(">BBQ", _FIN | opcode, bit | 127, size)
    return header + bytes(payload) if mask is None else header + mask + xor(payload, mask)


class Unframer:
    """Frames in, in pieces of any size; out come stream bytes and, apart, what asks for an answer."""

    def __init__(self, masked: bool) -> None:
        self.pings: list[bytes] = []  # to be answered, by whoever owns this, with pongs
        self.closed = False  # the other side said goodbye: nothing after it counts
        self._masked = masked
        self._rest = b""  # the beginning of a header or of a control frame
        self._left = 0  # bytes of the payload in hand still to come
        self._done = 0  # bytes of it that came already
        self._mask = b""
        self._in_message = False

    def receive(self, data: bytes) -> bytes:
        """The stream's next bytes. Raises Malformed."""
        data, at = self._rest + data, 0
        self._rest = b""
        parts: list[bytes] = []
        while at < len(data) and not self.closed:
            if self._left:
                piece = data[at : at + self._left]
                parts.append(xor(piece, self._mask, self._done) if self._masked else piece)
                self._done += len(piece)
                self._left -= len(piece)
                at += len(piece)
            elif (used := self._receive_header(data, at)) == 0:
                self._rest = data[at:]
                break
            else:
                at += used
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _receive_header(self, data: bytes, at: int) -> int:
        """How many bytes it took, with all of its payload if a control frame; 0: not all is here."""
        if len(data) - at < 2:
            return 0
        first, second = data[at], data[at + 1]
        if first & _RESERVED or bool(second & _MASKED) != self._masked:
            raise Malformed("WebSocket: reserved bits, or a mask where none belongs")
        extra = {126: 2, 127: 8}.get(second & 0x7F, 0)
        end = at + 2 + extra + (4 if self._masked else 0)
        if end > len(data):
            return 0
        length = second & 0x7F
        if extra:
            length = int.from_bytes(data[at + 2 : at + 2 + extra], "big")
        mask = data[end - 4 : end] if self._masked else b""
        if first & 0x08:
            return self._receive_control(first, length, mask, data, end, at)
        self._begin_payload(first, length, mask)
        return end - at

    def _begin_payload(self, first: int, length: int, mask: bytes) -> None:
        opcode = first & 0x0F
        expected = Opcode.CONTINUATION if self._in_message else Opcode.BINARY
        if opcode != expected or length >> 63:
            raise Malformed(f"WebSocket: a frame of kind {opcode} with {length} bytes")
        self._in_message = not first & _FIN
        self._left, self._done, self._mask = length, 0, mask

    def _receive_control(
        self, first: int, length: int, mask: bytes, data: bytes, start: int, at: int
    ) -> int:
        if length > MAX_CONTROL or not first & _FIN:
            raise Malformed("WebSocket: a control frame too long, or in pieces")
        end = start + length
        if end > len(data):
            return 0
        payload = xor(data[start:end], mask) if self._masked else data[start:end]
        match first & 0x0F:
            case Opcode.CLOSE:
                self.closed = True
            case Opcode.PING:
                self.pings.append(payload)
            case Opcode.PONG:
                pass
            case opcode:
                raise Malformed(f"WebSocket: a frame of kind {opcode}")
        return end - at
