"""TOML, read with its errors in one line: each value knows its file and its key.

A `Table` is asked for each key that it may have, then for `done()`: what nobody asked for is a
mistake, and what was asked for is the list to find the nearest word in.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from lab.model.errors import TopologyError, nearest

T = TypeVar("T")
POSITION = re.compile(r"(.*) \(at (line \d+, column \d+|end of document)\)", re.DOTALL)


def parse_toml(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = POSITION.fullmatch(str(error))
        where, problem = (found[2], found[1]) if found else ("", str(error))
        if where == "end of document":
            where = f"line {len(text.splitlines())}"
        raise TopologyError(file, where, f"not TOML: {problem}") from None
    except (ValueError, RecursionError) as error:  # too many digits or levels
        raise TopologyError(file, "", f"not TOML: {error}") from None


def drawing_of(text: str) -> str:
    """The comment block at the head of the file."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").removeprefix(" ").rstrip())
    return "\n".join(lines)


class Table:
    def __init__(self, file: str, key: str, raw: object) -> None:
        if not isinstance(raw, dict):
            raise TopologyError(file, key, f"{_shown(raw)} is not a table")
        self.file, self.key, self.raw = file, key, raw
        self.asked: list[str] = []

    def error(self, name: str, problem: str, hint: str = "") -> TopologyError:
        return TopologyError(self.file, self.path(name), problem, hint)

    def path(self, name: str) -> str:
        return f"{self.key}.{name}" if self.key else name

    def value(self, name: str) -> object | None:
        self.asked.append(name)
        return self.raw.get(name)

    def text(self, name: str) -> str | None:
        value = self.value(name)
        if value is None or isinstance(value, str):
            return value
        raise self.error(name, f"{_shown(value)} is not a text")

    def texts(self, name: str) -> tuple[str, ...]:
        """A text, or a list of them."""
        value = self.value(name)
        rows = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(row, str) for row in rows):
            raise self.error(name, f"{_shown(value)} is neither a text nor a list of texts")
        if twice := [row for n, row in enumerate(rows) if row in rows[:n]]:
            raise self.error(name, f'"{twice[0]}" is there twice')
        return tuple(rows)

    def argv(self, name: str) -> tuple[str, ...]:
        """A list of texts, in which one may come twice."""
        value = self.value(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(row, str) for row in value):
            raise self.error(name, f"{_shown(value)} is not a list of texts")
        return tuple(value)

    def integer(self, name: str, least: int, most: int) -> int | None:
        value = self.value(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.error(name, f"{_shown(value)} is not a whole number")
        if not least <= value <= most:
            raise self.error(name, f"{_shown(value)} is not between {least} and {most}")
        return value

    def boolean(self, name: str) -> bool | None:
        value = self.value(name)
        if value is None or isinstance(value, bool):
            return value
        raise self.error(name, f"{_shown(value)} is not true or false")

    def parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        """A text that means something: `parse` raises ValueError with the problem."""
        text = self.text(name)
        return None if text is None else self.meant(name, text, parse)

    def all_parsed(self, name: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        return tuple(self.meant(name, text, parse) for text in self.texts(name))

    def meant(self, name: str, text: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise self.error(name, str(error)) from None

    def table(self, name: str) -> Table | None:
        value = self.value(name)
        return None if value is None else Table(self.file, self.path(name), value)

    def tables(self, name: str) -> Iterable[tuple[str, Table]]:
        """The tables of a table, by name: `[host.node-a]`, `[host.node-b]`."""
        group = self.table(name)
        for key in group.raw if group else ():
            assert group is not None
            yield key, Table(self.file, group.path(key), group.raw[key])

    def done(self) -> None:
        for name in self.raw:
            if name not in self.asked:
                raise self.error(name, "unknown key", nearest(name, self.asked))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return f'"{value}"' if isinstance(value, str) else str(value)
    except (ValueError, RecursionError):  # more digits or levels than Python writes
        return "this value"
