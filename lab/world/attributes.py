"""Netlink attributes (RFC 3549 §2.2): length, kind, value, padded to four bytes; and such within such."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_HEAD = struct.Struct("=HH")
_NESTED = 0x8000  # NLA_F_NESTED


def attribute(kind: int, value: bytes) -> bytes:
    return _HEAD.pack(_HEAD.size + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *inside: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(inside))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """32 bits in network order, as netfilter wants them."""
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and value of each; what is cut short ends the list."""
    while len(data) >= _HEAD.size:
        length, kind = _HEAD.unpack_from(data)
        if not _HEAD.size <= length <= len(data):
            return
        yield kind & ~_NESTED, data[_HEAD.size : length]
        data = data[(length + 3) & ~3 :]
