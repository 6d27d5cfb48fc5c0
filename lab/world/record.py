"""The one event log of a lab, and what it says about now: the last line for each subject.

Lines are only ever appended. `at` is CLOCK_MONOTONIC, which is the same in every namespace, so the
daemons' own times and ours are on one clock.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Event = dict[str, Any]
LAB = "lab"  # the host of events that are about the lab as a whole


class Record:
    def __init__(self, file: Path) -> None:
        self._log = file.open("a", buffering=1)
        self._paths: dict[tuple[str, str], Event] = {}
        self.on_append: Callable[[], None] = lambda: None

    def add(self, host: str, event: str, **fields: Any) -> float:
        """An event of the lab's own; returns its time."""
        at = time.monotonic()
        self._append({"at": at, "host": host, "event": event, **fields})
        return at

    def add_from(self, host: str, event: Mapping[str, Any]) -> None:
        """An event that a daemon told; the time and the name are ours if it gave none."""
        told = {"at": time.monotonic(), **event, "host": host}
        if told["event"] == "path":
            if not all(isinstance(told.get(word), str) for word in ("peer", "kind")):
                self.add(host, "malformed", told=dict(event))
                return
            self._paths[host, told["peer"]] = told
        self._append(told)

    def forget_paths(self, host: str) -> None:
        """A daemon that ended has no paths, and the next one starts without."""
        for a, b in [pair for pair in self._paths if pair[0] == host]:
            if self._paths[a, b]["kind"] != "none":
                self.add_from(a, {"event": "path", "peer": b, "kind": "none", "why": "it ended"})

    def path(self, a: str, b: str) -> dict[str, Any]:
        last = self._paths.get((a, b), {})
        return {
            "from": a,
            "to": b,
            "kind": last.get("kind", "none"),
            "via": last.get("via"),
            "since": last.get("at"),
            "rtt_ms": last.get("rtt_ms"),
        }

    def _append(self, event: Event) -> None:
        try:
            self._log.write(json.dumps(event) + "\n")
        except OSError as error:  # a full disk is no reason to end the lab
            print(f"an event is lost: {error}: {event}", file=sys.stderr)
        self.on_append()
