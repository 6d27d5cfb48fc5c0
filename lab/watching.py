"""Reading a lab's event log, to its end or for as long as the lab lives.

The file is the truth. The keeper's socket is only the bell: one byte when there is more to read, and its end
when the lab ends.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.ask import connected
from lab.errors import KeeperGone

Event = dict[str, Any]
EVENTS = "events.jsonl"


def past(folder: Path) -> Iterator[Event]:
    """All events up to now. KeeperGone where there is no log: the lab is gone, or only just coming up."""
    try:
        log = (folder / EVENTS).open()
    except FileNotFoundError:
        raise KeeperGone(f"{folder.name} is gone, or only just coming up") from None
    with log as lines:
        for line in lines:
            if not line.endswith("\n"):  # it is only half written, and its rest no line
                return
            yield json.loads(line)


def follow(folder: Path, within: float | None = None) -> Iterator[Event]:
    """All events from the first on, then each as it comes; ends with the lab, or after `within` seconds."""
    until = None if within is None else time.monotonic() + within
    with connected(folder, timeout=30.0) as bell, (folder / EVENTS).open() as lines:
        bell.sendall(b'{"ask": "bell"}\n')
        rest = ""
        ringing = True
        while ringing:
            ringing = _wait_for_ring(bell, until)
            while chunk := lines.readline():
                rest += chunk
                if rest.endswith("\n"):
                    yield json.loads(rest)
                    rest = ""


def _wait_for_ring(bell: socket.socket, until: float | None) -> bool:
    """False: there will be no more, or no more time. The first ring comes at once."""
    left = None if until is None else until - time.monotonic()
    if left is not None and left <= 0:
        return False
    bell.settimeout(left)
    try:
        return bool(bell.recv(4096))
    except (TimeoutError, ConnectionResetError):
        return False


def first(folder: Path, wanted: Event, within: float, since: float = 0.0) -> Event | None:
    """The first event that has all of these fields, of those that were since then and those to come."""
    for event in follow(folder, within):
        if event["at"] >= since and wanted.items() <= event.items():
            return event
    return None


def path_history(folder: Path, a: str, b: str) -> list[str]:
    """The kinds of path from a to b, each change once, from the first that was one."""
    kinds: list[str] = []
    for event in past(folder):
        if (event["event"], event["host"], event.get("peer")) == ("path", a, b):
            kind = event["kind"]
            if kind != (kinds[-1] if kinds else "none"):
                kinds.append(kind)
    return kinds
