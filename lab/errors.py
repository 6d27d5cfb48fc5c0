"""What can go wrong with a lab, in words for people. The exit status of a command is the error's own.

0 done, 1 what was asked did not come true, 2 bad input, 3 this machine cannot.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class LabError(Exception):
    """One clear message; `hint` says what to do next."""

    exit_status: ClassVar[int] = 1

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem, hint)
        self.problem = problem
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.problem}\n{self.hint}" if self.hint else self.problem


class BadRequest(LabError):
    """What was asked for makes no sense here: no such host, no such lab, not a name."""

    exit_status = 2


class NoSuchLab(BadRequest):
    def __init__(self, name: str, running: Sequence[str]) -> None:
        others = f"running: {', '.join(running)}" if running else "no lab is running"
        super().__init__(f"there is no lab named {name}", f"{others}; lab.up starts one")
        self.name = name


class NoSuchMachine(BadRequest):
    def __init__(self, name: str, there: Sequence[str]) -> None:
        problem = f"there is no machine {name} in this lab"
        super().__init__(problem, f"it has: {', '.join(there)}")
        self.name = name


class KeeperGone(LabError):
    """Nobody answers for the lab: it is only on its way up, or down, or it just ended."""


class BuildFailed(LabError):
    """The lab could not be built, or one of its daemons did not start. Nothing is left of it."""


class CannotHere(LabError):
    """This machine cannot run a lab, or not this one."""

    exit_status = 3


class NoPath(LabError):
    """The path that was waited for did not come."""


class NoEvent(LabError):
    """The event that was waited for did not come."""


class NoReply(LabError):
    """A ping that nobody answered."""
