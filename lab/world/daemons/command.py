"""Anybody's program as a daemon, without a line of Python: `runs = "command"` and an argv.

`{{ host }}`, `{{ address }}` and `{{ folder }}` in the argv are filled in. It is ready as soon as it
runs, or, with `ready = "words"`, when a line of its stdout has these words.
"""

from __future__ import annotations

import re

from lab.errors import BuildFailed
from lab.world.daemons.contract import Daemon, Event

_BLANK = re.compile(r"\{\{\s*(\w+)\s*\}\}")


class Command(Daemon):
    def argv(self) -> list[str]:
        words = {
            "host": self.place.host,
            "address": self.place.address,
            "folder": str(self.place.folder),
        }

        def fill(match: re.Match[str]) -> str:
            if match[1] not in words:
                raise BuildFailed(
                    f"{self.place.host}: argv asks for {match[0]}", f"known: {', '.join(words)}"
                )
            return words[match[1]]

        return [_BLANK.sub(fill, each) for each in self.settings["argv"]]

    def is_ready_at_once(self) -> bool:
        return "ready" not in self.settings

    def says_ready(self, line: str, event: Event | None) -> bool:
        return "ready" in self.settings and self.settings["ready"] in line
