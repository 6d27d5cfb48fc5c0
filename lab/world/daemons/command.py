"""Anybody's program as a daemon, without a line of Python: `runs = "command"` and an argv.

In the argv `{{ host }}` and `{{ address }}` are filled in, `{{ folder }}` (a folder of its own, where it is
started), `{{ here }}` (where the topology's file is) and `{{ python }}` (this one). It is ready as soon as it
runs, or, with `ready = "words"`, when a line that it writes has these words. Lines of JSON with an
"event" are events, so a program may tell its paths; all others are its log.
"""

from __future__ import annotations

import re
from typing import ClassVar

from lab.errors import BadRequest
from lab.world.daemons.contract import PYTHON, Daemon, Event

_BLANK = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Command(Daemon):
    is_plain: ClassVar[bool] = True

    def argv(self) -> list[str]:
        words: dict[str, str] = {
            "host": self.place.host,
            "address": self.place.address,
            "folder": str(self.place.folder),
            "here": self.settings.get("here", ""),
            "python": PYTHON,
        }

        def fill(match: re.Match[str]) -> str:
            if match[1] not in words:
                raise BadRequest(
                    f"{self.place.host}: argv asks for {match[0]}", f"known: {', '.join(words)}"
                )
            return words[match[1]]

        return [_BLANK.sub(fill, each) for each in self.settings["argv"]]

    def is_ready_at_once(self) -> bool:
        return "ready" not in self.settings

    def says_ready(self, line: str, event: Event | None) -> bool:
        return "ready" in self.settings and self.settings["ready"] in line
