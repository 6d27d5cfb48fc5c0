"""A drawing of characters: each cell has one, and a look. How a look looks is the terminal's business."""

from __future__ import annotations

from itertools import groupby
from typing import NamedTuple, TypeAlias


class Span(NamedTuple):
    text: str
    look: str = ""


Row: TypeAlias = list[Span]


class Canvas:
    """Whatever is written beyond its edges is cropped."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._cells = [[(" ", "")] * width for _ in range(height)]

    def write(self, x: int, y: int, text: str, look: str = "") -> int:
        """Returns the column behind it."""
        for at, character in enumerate(text, start=x):
            if 0 <= y < self.height and 0 <= at < self.width:
                self._cells[y][at] = (character, look)
        return x + len(text)

    def rows(self) -> list[Row]:
        """Cells of one look together."""
        return [
            [
                Span("".join(character for character, _ in cells), look)
                for look, cells in groupby(row, key=lambda cell: cell[1])
            ]
            for row in self._cells
        ]


def text_of(row: Row) -> str:
    return "".join(span.text for span in row)
