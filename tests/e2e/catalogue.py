"""The catalogue of scenarios: README.md beside this file has them all, each with its tests or a reason.

The numbers are stable names, and `@pytest.mark.scenario(38)` is how a test says which of them it covers. So
the tests in the list follow from the marks: `python -m tests.e2e.catalogue` writes them, and a test sees to
it that nobody forgot to.
"""

from __future__ import annotations

import ast
import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
LIST = Path(__file__).with_name("README.md")
OUTSIDE = "outside_project"  # has tests of its own, for somebody else's pytest
ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.*) \|$", re.MULTILINE)
TEST = "[`test_"  # how a cell with tests begins; any other is a reason


class NoScenario(ValueError):
    """One line for whoever asked for it."""


def told() -> dict[int, str]:
    """What the list says for each number: tests, or a reason."""
    return {int(number): cell for number, _what, cell in ROW.findall(LIST.read_text())}


def titles() -> dict[int, str]:
    return {int(number): what for number, what, _cell in ROW.findall(LIST.read_text())}


@functools.cache
def marked() -> dict[int, list[tuple[Path, str]]]:
    """The tests of each number, by their marks."""
    found: dict[int, list[tuple[Path, str]]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        text = file.read_text()
        if OUTSIDE in file.parts or "mark.scenario(" not in text:
            continue
        module = ast.parse(text)
        seen: list[int] = []
        for function in module.body:
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                own = [number for each in function.decorator_list for number in numbers(each)]
                seen += own
                for number in sorted(set(own)):
                    found.setdefault(number, []).append((file, function.name))
        if sorted(seen) != sorted(numbers(module)):
            raise ValueError(f"{file}: a scenario's number stands where no test has it")
    return found


def numbers(tree: ast.AST) -> Iterator[int]:
    """Of a test's own marks, and of those that single parameters have."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.scenario":
            yield from (ast.literal_eval(argument) for argument in node.args)


def cell(tests: list[tuple[Path, str]]) -> str:
    links = [f"[`{name}`]({os.path.relpath(file, LIST.parent)})" for file, name in tests]
    return "<br>".join(links)


def arguments(word: str) -> list[str]:
    """What makes pytest run the tests of this number and no others."""
    if not word.isdecimal() or int(word) not in (listed := told()):
        raise NoScenario(f"there is no scenario {word!r}: {LIST.relative_to(ROOT)} lists them")
    number = int(word)
    if not (tests := marked().get(number)):
        raise NoScenario(f"scenario {number} has no test: {listed[number]}")
    files = dict.fromkeys(str(file.relative_to(ROOT)) for file, _name in tests)
    return [*files, "--scenario", str(number)]


def rewritten(text: str) -> str:
    """The list with the tests that there are; a reason stays where there are none."""
    found = marked()

    def row(match: re.Match[str]) -> str:
        number, what, was = match.groups()
        has = cell(found.get(int(number), []))
        return f"| {number} | {what} | {has or ('' if was.startswith(TEST) else was)} |"

    return ROW.sub(row, text)


if __name__ == "__main__":
    LIST.write_text(rewritten(LIST.read_text()))
