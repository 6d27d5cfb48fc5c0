"""`punchlab`: the lab's commands as a program of their own, installed with the package.

    punchlab lab.up topology=double-nat

The same commands as `invoke lab.up ...` in a clone, without the three that keep the project. Exit statuses
are the commands' own; a command line that Invoke cannot read is bad input as well, so 2.
"""

from __future__ import annotations

import sys
from importlib.metadata import version

from invoke.collection import Collection
from invoke.exceptions import ParseError
from invoke.program import Program

from lab import commands

NAME = "punchlab"
BAD_INPUT = 2


def main() -> None:
    program = Program(
        version=version(NAME),
        namespace=Collection(lab=commands.collection()),
        name=NAME,
        binary=NAME,
        binary_names=[NAME],
    )
    try:
        program.run()
    except SystemExit as end:  # Invoke has said by now what is wrong, and would exit with 1
        if isinstance(end.__context__, ParseError):
            sys.exit(BAD_INPUT)
        raise
