"""The event log, as packets among the others: JSON for Wireshark, a comment at each path change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.capture import pcapng
from lab.watching import EVENTS

Event = dict[str, Any]


class EventLog:
    def __init__(self, folder: Path) -> None:
        self._file = (folder / EVENTS).open("rb")
        self._rest = b""

    def fresh(self) -> Iterator[Event]:
        self._rest += self._file.read()
        *lines, self._rest = self._rest.split(b"\n")
        for line in lines:
            yield json.loads(line)

    def close(self) -> None:
        self._file.close()


def payload(event: Event) -> bytes:
    return pcapng.upper_pdu("json", json.dumps(event).encode())


def comment(event: Event) -> str:
    """What a person wants to be pointed at; empty for the rest."""
    if event["event"] != "path":
        return ""
    via = f" via {event['via']}" if event.get("via") else ""
    why = f" ({event['why']})" if event.get("why") else ""
    return f"{event['host']}: the path to {event['peer']} is {event['kind']} from here on{via}{why}"


def of_payload(data: bytes) -> Event | None:
    """What `payload` made; None: something else."""
    start = data.find(b'{"')
    try:
        told = json.loads(data[start:]) if start >= 0 else None
    except ValueError:
        return None
    return told if isinstance(told, dict) else None
