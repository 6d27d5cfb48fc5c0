"""Asking a URL who may use the relay.

It gets a POST of `{"NodePublic": "nodekey:...", "Source": "192.0.2.7"}` and lets the client in
with status 200 and `{"Allow": true}`. When it cannot be reached at all, `fail_open` decides. Each
question is asked in a thread: answers take their time, and the relay must not.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Callable

from node.io.loop import READ, Loop
from node.keys import NodePublic

ASK_TIMEOUT = 5.0  # seconds
MAX_ANSWER = 4096  # bytes
MAX_ASKING = 64  # questions at a time; the rest wait their turn


def ask(url: str, key: NodePublic, source: str, fail_open: bool) -> bool:
    """Waits for the answer: call it in a thread."""
    from http.client import HTTPException  # late: 60 ms that a relay without a URL does not need
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    body = json.dumps({"NodePublic": str(key), "Source": source}).encode()
    request = Request(url, body, {"Content-Type": "application/json"})
    try:
        with urlopen(request, timeout=ASK_TIMEOUT) as answer:
            status, raw = answer.status, answer.read(MAX_ANSWER)
    except HTTPError as error:
        error.close()
        return False
    except OSError:  # URLError is one
        return fail_open
    except (HTTPException, ValueError):  # it speaks something else, or sends us to what is no URL
        return False
    try:
        fields = json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return status == 200 and isinstance(fields, dict) and fields.get("Allow") is True


class Doorkeeper:
    """Asks a URL about many keys without making anybody wait."""

    def __init__(self, loop: Loop, url: str, fail_open: bool) -> None:
        self._url, self._fail_open = url, fail_open
        self._answers: deque[tuple[Callable[[bool], None], bool]] = deque()
        self._turns = threading.BoundedSemaphore(MAX_ASKING)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        loop.watch(self._wake, READ, lambda _events: self._deliver())

    def ask(self, key: NodePublic, source: str, on_answer: Callable[[bool], None]) -> None:
        def work() -> None:
            with self._turns:
                allowed = ask(self._url, key, source, self._fail_open)
            self._answers.append((on_answer, allowed))
            os.eventfd_write(self._wake, 1)

        threading.Thread(target=work, daemon=True).start()

    def _deliver(self) -> None:
        os.eventfd_read(self._wake)
        while self._answers:
            on_answer, allowed = self._answers.popleft()
            on_answer(allowed)
