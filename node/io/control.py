"""The control socket: a Unix stream, one JSON object a line, requests in and answers out.

{"do": "ping", "peer": "node-b", "timeout": 5}   ->   {"via": "...", "rtt_ms": 20.3, ...}
anything it cannot do                            ->   {"error": "one line"}
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeAlias

from node.io import unix_server
from node.io.loop import Loop
from node.io.unix_server import SocketTaken, UnixServer

Answer: TypeAlias = Callable[[dict[str, Any]], None]
Handler: TypeAlias = Callable[[dict[str, Any], Answer], None]


class ControlTaken(Exception):
    """One line: which socket, and why we cannot have it."""


class Control:
    def __init__(self, loop: Loop, path: str, handle: Handler) -> None:
        self._handle = handle
        try:
            self._server = UnixServer(loop, path, b"\n", self._request)
        except SocketTaken as problem:
            raise ControlTaken(f"control {problem}") from None

    def close(self) -> None:
        self._server.close()

    def _request(self, line: bytes, answer: unix_server.Answer) -> None:
        def answer_json(value: dict[str, Any]) -> None:
            answer(json.dumps(value).encode() + b"\n")

        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if isinstance(request, dict):
            self._handle(request, answer_json)
        else:
            answer_json({"error": "expected one JSON object a line"})
