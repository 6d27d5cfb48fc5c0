"""The log of transitions: one JSON object a line, to whoever started us, and never a wait for him.

A reader that does not read costs us nothing but the lines: what a pipe does not take at once is kept
in a short queue, the oldest line gives way, and `events_dropped` says how many did.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from node.io.loop import Loop

QUEUE = 1000  # lines
PATIENCE = 0.1  # seconds between attempts while the reader is behind


class EventLog:
    def __init__(self, loop: Loop, fd: int, host: str) -> None:
        self._loop, self._fd, self.host = loop, fd, host
        self._lines: deque[bytes] = deque(maxlen=QUEUE)
        self._dropped = 0
        self._waiting = False
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)

    def write(self, event: str, fields: Mapping[str, Any]) -> None:
        self._dropped += len(self._lines) == QUEUE
        self._lines.append(self._line(event, fields))
        self.flush()

    def flush(self) -> None:
        """As many lines as the reader takes now."""
        if self._lines and self._dropped and self._writable():
            self._put(self._line("events_dropped", {"count": self._dropped}))
            self._dropped = 0
        while self._lines and self._writable():
            self._put(self._lines.popleft())
        if self._lines and not self._waiting:
            self._waiting = True
            self._loop.at(self._loop.now() + PATIENCE, self._try_again)

    def _try_again(self) -> None:
        self._waiting = False
        self.flush()

    def _line(self, event: str, fields: Mapping[str, Any]) -> bytes:
        at = round(time.monotonic(), 6)  # the clock that everybody's events are on
        head = {"at": at, "host": self.host, "event": event}
        return json.dumps(head | dict(fields)).encode() + b"\n"

    def _writable(self) -> bool:
        """A pipe is writable when it takes PIPE_BUF bytes, more than any of our lines, unsplit."""
        return bool(self._poll.poll(0))

    def _put(self, line: bytes) -> None:
        try:
            os.write(self._fd, line)
        except OSError:  # nobody will ever read it: the daemon goes on without an audience
            self._lines.clear()
