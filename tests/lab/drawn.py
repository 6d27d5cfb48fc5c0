"""Reads the drawing at a topology's head: which machines it names, and which of them its lines join.

    node-a -- home-a --+                          {node-a, home-a}
                       +-- internet -- nyc        {home-a, home-b, internet}, {internet, nyc}
    node-b -- home-b --+                          {node-b, home-b}

A line is made of - | ~ and +; it may hold words (`~~ 40 ms ~~`). Beside its end, a space or two away, stands
a machine, or several with commas; `home-a (symmetric)` is one with a note.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

Place = tuple[int, int]  # line and column
INK = "-~|+"
NOTE = re.compile(r"\([^)]*\)?")
NEAR = re.compile(r" {0,2}")
COMMA = re.compile(r" *, *")


def block(drawing: str) -> list[str]:
    """The first indented paragraph."""
    for paragraph in drawing.split("\n\n"):
        lines = paragraph.splitlines()
        if all(line.startswith("  ") for line in lines):
            return lines
    return []


def joined(drawing: str, names: Sequence[str]) -> set[frozenset[str]]:
    """What each connected line joins."""
    lines = block(drawing)
    labels = [list(_labels(line, names)) for line in lines]
    ink = _ink(lines, labels)
    nets: set[frozenset[str]] = set()
    while ink:
        line = _flood(ink, ink.pop(), lines)
        nets.add(frozenset(name for place in line for name in _beside(place, line, labels, lines)))
    return nets


def named(drawing: str, names: Sequence[str]) -> set[str]:
    return {name for line in block(drawing) for name, _, _ in _labels(line, names)}


def _labels(line: str, names: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Each machine's name with where it starts and ends; a note belongs to it."""
    longest_first = sorted(names, key=len, reverse=True)
    words = "|".join(map(re.escape, longest_first))
    for found in re.finditer(rf"(?<![\w-])({words})(?![\w])(?!-\w)( \([^)]*\))?", line):
        yield found[1], found.start(), found.end()


def _ink(lines: Sequence[str], labels: Sequence[Sequence[tuple[str, int, int]]]) -> set[Place]:
    """Where lines are; what names and notes are made of is none, and a single - is a hyphen."""
    ink = set()
    for row, line in enumerate(lines):
        blank = list(NOTE.sub(lambda found: " " * len(found[0]), line))
        for _, start, end in labels[row]:
            blank[start:end] = " " * (end - start)
        ink |= {(row, column) for column, char in enumerate(blank) if char in INK}
    return ink


def _flood(ink: set[Place], start: Place, lines: Sequence[str]) -> set[Place]:
    """The whole line, taken out of the ink."""
    found, todo = {start}, [start]
    while todo:
        for place in _neighbours(todo.pop(), lines):
            if place in ink:
                ink.remove(place)
                found.add(place)
                todo.append(place)
    return found


def _neighbours(place: Place, lines: Sequence[str]) -> Iterator[Place]:
    row, column = place
    char = lines[row][column]
    if char != "|":
        yield from ((row, column - 1), (row, column + 1), *_over_words(place, lines))
    if char in "|+":
        for other in (row - 1, row + 1):
            if 0 <= other < len(lines) and lines[other][column : column + 1] in ("|", "+"):
                yield other, column


def _over_words(place: Place, lines: Sequence[str]) -> Iterator[Place]:
    """`~~ 40 ms ~~` goes on behind its words."""
    row, column = place
    for found in re.finditer(r"(?<=[~-]) \d[^~+|-]* (?=[~-])", lines[row]):
        if column == found.start() - 1:
            yield row, found.end()
        if column == found.end():
            yield row, found.start() - 1


def _beside(
    place: Place,
    line: set[Place],
    labels: Sequence[Sequence[tuple[str, int, int]]],
    lines: Sequence[str],
) -> Iterator[str]:
    """The machines to the left and to the right of a line's end."""
    row, column = place
    if lines[row][column] == "|":
        return
    if (row, column - 1) not in line:
        to_the_left = [(name, end, start) for name, start, end in reversed(labels[row])]
        yield from _chain(lines[row], column, [each for each in to_the_left if each[1] <= column])
    if (row, column + 1) not in line:
        yield from _chain(
            lines[row], column + 1, [each for each in labels[row] if each[1] > column]
        )


def _chain(line: str, at: int, labels: Sequence[tuple[str, int, int]]) -> Iterator[str]:
    """The first of the labels if it is near, and those that commas tie to it."""
    between = NEAR
    for name, near, far in labels:
        if not between.fullmatch(line[min(at, near) : max(at, near)]):
            return
        yield name
        at, between = far, COMMA
