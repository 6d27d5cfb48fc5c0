"""The commands that the pages show, and what they show as their output.

In a fenced block a line that begins with `$ ` is a command, and the lines after it are what it prints;
`...` stands for any lines. Times, process ids, ports and counts of packets are different every time, so
they count as equal, and lines that are the same but for these as one.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "lab/README.md", "node/README.md", "topologies/README.md")
OTHERS = ("tests/e2e/README.md", "tests/bench/README.md")  # that show no output

_FENCE = re.compile(r"^```(?:console)?\n(.*?)^```$", re.M | re.S)
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
_INLINE = re.compile(r"`((?:\./punchlab|punchlab|invoke|python -m) [^`]+)`")
_CODE = re.compile(r"^```\w*\n(.*?)^```$|^((?:    .*\n)+)", re.M | re.S)
_CHANGING = (
    (re.compile(r"\d+(\.\d+)? ?(ms|s)\b"), "N s"),
    (re.compile(r"\bpid \d+"), "pid N"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "KEY"),
    (re.compile(r"(?<= from )\d+\.\d+(?= on$)"), "N"),
    (re.compile(r"(?<=[\d\]]):\d{4,5}\b"), ":PORT"),
    (re.compile(r"\b\d+ (?=pings|packets|endpoints|destinations)"), "N "),
)


@dataclass(frozen=True, slots=True)
class Shown:
    command: str
    output: tuple[str, ...]

    def agrees(self, printed: str) -> bool:
        pattern = "".join(
            "(?:.*\n)*" if line.strip() == "..." else re.escape(line) + "\n"
            for line in _plain(self.output)
        )
        text = "".join(line + "\n" for line in _plain(_lines(printed)))
        return re.fullmatch(pattern, text) is not None


def shown(page: str) -> Iterator[Shown]:
    """In the order of the page: later commands rely on earlier ones."""
    for block in _FENCE.findall((ROOT / page).read_text()):
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, *output = _lines(part)
            yield Shown(command, tuple(output))


def mentioned(page: str) -> Iterator[list[str]]:
    """The words of each of our commands, run or not; those of a module begin with its name."""
    text = (ROOT / page).read_text()
    lines = [line for block in _CODE.findall(text) for line in "".join(block).splitlines()]
    for line in lines + _INLINE.findall(text):
        found = re.match(r"\s*(?:\$ )?(?:\./punchlab|punchlab|invoke|python -m) (.*)", line)
        if found and not re.search(r"\.\.\.|\bCOMMAND\b", line):
            yield shlex.split(found[1], comments=True)


def examples(page: str) -> list[str]:
    """In Python."""
    return _PYTHON.findall((ROOT / page).read_text())


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip("\n").splitlines()]


def _plain(lines: Iterable[str]) -> list[str]:
    return [line for line, _ in groupby(map(_plain_line, lines))]


def _plain_line(line: str) -> str:
    for pattern, word in _CHANGING:
        line = pattern.sub(word, line)
    return re.sub(r"  +", "  ", line)
