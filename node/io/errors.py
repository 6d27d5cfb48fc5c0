"""What cannot be: one line for a person, and the exit status that goes with it."""

from __future__ import annotations

BAD_INPUT, CANNOT_HERE = 2, 3  # something given is wrong; this machine cannot do it


class Refused(Exception):
    def __init__(self, line: str, status: int) -> None:
        super().__init__(line)
        self.status = status
