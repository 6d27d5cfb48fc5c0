"""Messages that differ in a few places: pyroute2 encodes one of a kind, and the rest are copies filled in.

To encode a message takes pyroute2 longer than the kernel needs to do what it says. So the first one is
encoded with marks, values that occur nowhere else, and a copy gets other bytes where they are.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

MARKS = (0x7A5B3C11, 0x7A5B3C22, 0x7A5B3C33)  # in no message by chance
_NUMBER = struct.Struct("=I")


@dataclass(frozen=True, slots=True)
class Form:
    body: bytes
    places: tuple[tuple[int, ...], ...]  # of each mark

    @classmethod
    def of(cls, body: bytes, *marks: bytes) -> Self:
        return cls(body, tuple(tuple(_places(body, mark)) for mark in marks))

    def filled(self, *values: bytes) -> bytes:
        """Each as long as the mark that it takes the place of."""
        copy = bytearray(self.body)
        for places, value in zip(self.places, values, strict=True):
            for place in places:
                copy[place : place + len(value)] = value
        return bytes(copy)


def mark_address(version: int, number: int) -> tuple[str, bytes]:
    """A marked address, as text and as its bytes."""
    packed = bytes([0x7A, 0x5B, 0x4D, number]) * (1 if version == 4 else 4)
    return str(ip_address(packed)), packed


def native(value: int) -> bytes:
    """32 bits as this machine has them, which is how rtnetlink has its own."""
    return _NUMBER.pack(value)


def _places(body: bytes, mark: bytes) -> list[int]:
    found, place = [], body.find(mark)
    while place >= 0:
        found.append(place)
        place = body.find(mark, place + len(mark))
    assert found, "a mark that is not in the message"
    return found
