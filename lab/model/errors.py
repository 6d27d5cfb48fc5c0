"""What goes wrong in a topology, told in one line: file, key, problem, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class TopologyError(Exception):
    """`topologies/x.toml: router.home-a.natt: unknown key; did you mean "nat"?`"""

    exit_status: ClassVar[int] = 2  # of a command: bad input

    def __init__(self, file: str, key: str, problem: str, hint: str = "") -> None:
        super().__init__(file, key, problem, hint)
        self.file, self.key, self.problem, self.hint = file, key, problem, hint

    def __str__(self) -> str:
        line = ": ".join(part for part in (self.file, self.key, self.problem) if part)
        return f"{line}; {self.hint}" if self.hint else line


def nearest(wrong: str, known: Iterable[str]) -> str:
    """`did you mean "nat"?`, or what there is to choose from when nothing is near."""
    known = sorted(known)
    if near := get_close_matches(wrong, known, n=1):
        return f'did you mean "{near[0]}"?'
    return "known: " + ", ".join(known) if known else "there is none"
