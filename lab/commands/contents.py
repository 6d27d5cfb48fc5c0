"""The order in which commands are listed: as a table of contents has them, not by the alphabet.

Invoke sorts a collection's tasks by name, whoever lists them; so the names themselves know their order.
"""

from __future__ import annotations

from typing import Self

from invoke.collection import Collection


class Entry(str):
    """A name, and its place among others. It is equal to the plain name."""

    place: int

    def __new__(cls, name: str, place: int) -> Self:
        entry = super().__new__(cls, name)
        entry.place = place
        return entry

    def __reduce__(self) -> tuple[type[Self], tuple[str, int]]:  # Invoke copies what it is given
        return type(self), (str(self), self.place)

    def __lt__(self, other: str) -> bool:
        return self.place < other.place if isinstance(other, Entry) else str(self) < other


def in_order(collection: Collection) -> Collection:
    """Its tasks are listed in the order in which they were added."""
    for place, name in enumerate(list(collection.tasks)):
        collection.tasks[Entry(name, place)] = collection.tasks.pop(name)
    return collection
