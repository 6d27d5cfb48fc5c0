"""The numbers we give to peers so that they can name a session of ours (WireGuard paper §5.4).

Random, so that they tell nothing about order or number; unique among all peers of the device.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


class Indices(Generic[Entry]):
    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._entries: dict[int, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def allocate(self, entry: Entry) -> int:
        index = int.from_bytes(self._random(4), "little")
        while index in self._entries:  # also ends with a poor source of randomness
            index = (index + 1) & 0xFFFFFFFF
        self._entries[index] = entry
        return index

    def replace(self, index: int, entry: Entry) -> None:
        self._entries[index] = entry

    def lookup(self, index: int) -> Entry | None:
        return self._entries.get(index)

    def release(self, index: int) -> None:
        self._entries.pop(index, None)
