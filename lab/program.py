"""`punchlab`: the lab's commands as a program of their own, installed with the package.

    punchlab lab.up topology=double-nat

The same commands as `invoke lab.up ...` in a clone, without the three that keep the project. Exit statuses
are the commands' own; a command line that cannot be read is bad input as well: a line or two, and 2.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib.metadata import version

from invoke import program
from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError

from lab import commands
from lab.commands.command import nobody_reads
from lab.completion import completions

NAME = "punchlab"
BAD_INPUT = 2


class Program(program.Program):
    """Invoke's, with errors as the commands' own are."""

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:
        try:
            super().run(_help_first(argv or sys.argv), exit)
        except BrokenPipeError:
            sys.exit(nobody_reads())

    def parse_tasks(self) -> None:
        with self._readable():
            super().parse_tasks()

    def parse_cleanup(self) -> None:
        if self.args.complete.value:
            words = self.core.remainder.split()[1:]  # behind the program's name
            contexts = {str(each.name): each for each in self.collection.to_contexts()}
            if found := completions(words, contexts):
                print("\n".join(found))
                raise Exit
        with self._readable():
            super().parse_cleanup()

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except ParseError as error:
            raise Exit(self._told(error), BAD_INPUT) from None

    def _told(self, error: ParseError) -> str:
        if error.context is not None and error.context.name:
            command = error.context.name
            return f"{command}: {_plain(error)}\n{self.binary} --help {command} shows what it takes"
        names = list(self.collection.task_names)
        unknown = str(error).partition("'")[2].rpartition("'")[0]
        near = get_close_matches(unknown, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"{self.binary} --list shows what there is"
        return f"there is no command {unknown}\n{hint}"


def _help_first(argv: list[str]) -> list[str]:
    """`lab.demo --help`, as people type it: Invoke would take the word for a topology."""
    match argv:
        case [binary, command, "--help" | "-h"]:
            return [binary, "--help", command]
    return argv


def _plain(error: ParseError) -> str:
    """What Invoke says, in the words of the commands' errors."""
    text = str(error)
    _, told, names = text.partition("did not receive required positional arguments: ")
    if told:
        return f"it takes {names.replace(chr(39), '')}"
    return text[:1].lower() + text[1:]


def main() -> None:
    run(Collection(lab=commands.collection()))


def run(namespace: Collection, argv: list[str] | None = None) -> None:
    Program(
        version=version(NAME),
        namespace=namespace,
        name=NAME,
        binary=NAME,
        binary_names=[NAME],
    ).run(argv)
