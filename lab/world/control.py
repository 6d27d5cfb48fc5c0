"""The keeper's door: a Unix socket on which each line is a question and each answer a line.

Nothing here waits for anybody: a caller that does not read, or stops in the middle of a line, holds up
only itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lab.errors import BadRequest, LabError

_RING = b"\n"
_LONGEST_QUESTION = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    words: Mapping[str, Any] = field(default_factory=dict)
    fds: tuple[int, ...] = ()
    gives_away: bool = False  # the descriptors are the caller's alone from then on


Handler = Callable[[Mapping[str, Any]], Answer]


@dataclass(slots=True, eq=False)
class _Caller:
    socket: socket.socket
    question: bytes = b""
    answer: bytes = b""
    fds: tuple[int, ...] = ()
    given_away: tuple[int, ...] = ()  # to be closed once they are sent, or cannot be


class Control:
    def __init__(
        self, path: Path, selector: selectors.BaseSelector, handlers: Mapping[str, Handler]
    ) -> None:
        self._selector = selector
        self._handlers = handlers
        self._bells: list[_Caller] = []
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(path))
        self._listening.listen(64)
        self._listening.setblocking(False)
        selector.register(self._listening, selectors.EVENT_READ, self._accept)

    def ring(self) -> None:
        """There is more in the event log. Who has not answered the last ring will see it anyway."""
        for caller in self._bells:
            with contextlib.suppress(OSError):
                caller.socket.send(_RING)

    def _accept(self, _: int) -> None:
        with contextlib.suppress(OSError):
            connection, _address = self._listening.accept()
            connection.setblocking(False)
            caller = _Caller(connection)
            self._selector.register(connection, selectors.EVENT_READ, partial(self._serve, caller))

    def _serve(self, caller: _Caller, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._send(caller)
            elif chunk := caller.socket.recv(_LONGEST_QUESTION):
                caller.question += chunk
                if caller.question.endswith(b"\n"):
                    self._reply(caller)
            else:
                self._hang_up(caller)
        except BlockingIOError:
            pass
        except OSError:
            self._hang_up(caller)

    def _reply(self, caller: _Caller) -> None:
        answer = self._answer(caller, caller.question)
        caller.question = b""
        if answer is not None:
            caller.answer = json.dumps(answer.words).encode() + b"\n"
            caller.fds = answer.fds
            caller.given_away = answer.fds if answer.gives_away else ()
            self._send(caller)

    def _answer(self, caller: _Caller, line: bytes) -> Answer | None:
        try:
            question = json.loads(line)
            asked = question["ask"]
            if asked == "bell":
                self._bells.append(caller)
                caller.socket.send(_RING)
                return None
            return self._handlers[asked](question)
        except LabError as error:
            bad = isinstance(error, BadRequest)
            return Answer({"error": error.problem, "hint": error.hint, "bad_request": bad})
        except (ValueError, KeyError, TypeError) as error:
            return Answer({"error": f"not a question: {error!r}", "bad_request": True})

    def _send(self, caller: _Caller) -> None:
        if caller.fds:
            sent = socket.send_fds(caller.socket, [caller.answer], caller.fds)
            caller.fds = ()
            _close(caller)
        else:
            sent = caller.socket.send(caller.answer)
        caller.answer = caller.answer[sent:]
        wanted = selectors.EVENT_WRITE if caller.answer else selectors.EVENT_READ
        self._selector.modify(caller.socket, wanted, partial(self._serve, caller))

    def _hang_up(self, caller: _Caller) -> None:
        self._selector.unregister(caller.socket)
        caller.socket.close()
        _close(caller)
        if caller in self._bells:
            self._bells.remove(caller)


def _close(caller: _Caller) -> None:
    for fd in caller.given_away:
        os.close(fd)
    caller.given_away = ()
