"""What the lab has to know of a daemon, and all that it knows.

In: argv, files, SIGTERM = stop. Out: lines on stdout as events, stderr as its log. A daemon from outside
(`runs = "package.module:Class"`) is a subclass of `Daemon` like those here; one that needs no
code is a command (`runs = "command"`).
"""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lab.capture.keylogs import KEYLOG, TLS_KEYLOG
from lab.world.roster import Roster

__all__ = ["KEYLOG", "PYTHON", "TLS_KEYLOG", "Daemon", "Event", "Place"]

Event = dict[str, Any]
PYTHON = sys.executable


@dataclass(frozen=True, slots=True)
class Place:
    """Where a daemon lives: its machine, a folder of its own, and the mesh around it."""

    host: str
    address: str  # the machine's main address outside the overlay
    folder: Path
    roster: Roster
    addresses: tuple[str, ...] = ()  # all of them outside the overlay

    def write(self, name: str, text: str, mode: int = 0o644) -> str:
        """A file in the folder; returns its path, for an argv."""
        path = self.folder / name
        path.touch(mode=mode)
        path.chmod(mode)
        path.write_text(text)
        return str(path)


class Daemon(ABC):
    needs: ClassVar[tuple[str, ...]] = ()  # programs, other than this Python
    packages: ClassVar[Mapping[str, str]] = {}  # where a program is not in the package of its name
    needs_tun: ClassVar[bool] = False
    is_plain: ClassVar[bool] = (
        False  # it talks to people: its stdout is log too, its log says "ready"
    )

    def __init__(self, place: Place, settings: Mapping[str, Any]) -> None:
        self.place = place
        self.settings = settings

    @abstractmethod
    def argv(self) -> list[str]:
        """Writes the files that it names."""

    def event(self, line: str) -> Event | None:
        """What a line of stdout says; None: nothing that belongs into the event log."""
        if not line.startswith("{"):
            return None
        try:
            told = json.loads(line)
        except ValueError:
            return None
        return told if isinstance(told, dict) and isinstance(told.get("event"), str) else None

    def is_ready_at_once(self) -> bool:
        """Whether it counts as ready as soon as it runs."""
        return False

    def says_ready(self, line: str, event: Event | None) -> bool:
        return event is not None and event["event"] == "ready"

    def ping_argv(self, peer: str, options: Mapping[str, Any]) -> list[str] | None:
        """How to ask this daemon to ping a peer; None: it cannot be asked, the system's ping will do."""
        return None

    def status_argv(self) -> list[str] | None:
        """How to ask this daemon what it knows of its peers; None: it cannot be asked.

        It prints {"peers": [{"name", "candidates": [{"endpoint", "pings_sent", "pongs", "pings_received",
        "last_ping_age": seconds, "last_pong_age"}]}]} as JSON, and whatever else it likes.
        """
        return None
