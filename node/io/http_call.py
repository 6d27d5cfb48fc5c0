"""One HTTP request to a server near by, over a connection of its own. It never waits, and ends in time."""

from __future__ import annotations

import socket
from collections.abc import Callable

from node.io.dial import Dial
from node.io.loop import READ, WRITE, Loop
from node.wire.endpoint import Endpoint
from node.wire.http_response import HttpResponse, parse_response
from node.wire.malformed import Malformed

WITHIN = 4.0  # seconds for all of it: home routers are slow, and not that slow
CHUNK = 1 << 16


class HttpCall:
    def __init__(
        self,
        loop: Loop,
        to: Endpoint,
        data: bytes,
        on_done: Callable[[HttpResponse | None], None],
        within: float = WITHIN,
    ) -> None:
        """`on_done` is called once, with None if no answer came."""
        self._loop, self._unsent, self._on_done = loop, data, on_done
        self._received = b""
        self._tcp: socket.socket | None = None
        self._done = False
        self._timer = loop.at(loop.now() + within, lambda: self._finish(None))
        self._dial = Dial(
            loop, [to.address], to.port, self._connected, lambda _: self._finish(None)
        )

    def cancel(self) -> None:
        """As if it had never been asked: `on_done` is not called."""
        self._done = True
        self._timer.cancel()
        self._dial.cancel()
        if self._tcp is not None:
            self._loop.forget(self._tcp.fileno())
            self._tcp.close()
            self._tcp = None

    def _connected(self, tcp: socket.socket) -> None:
        self._tcp = tcp
        self._loop.watch(tcp.fileno(), READ | WRITE, lambda _events: self._go_on(tcp))

    def _go_on(self, tcp: socket.socket) -> None:
        try:
            if self._unsent:
                self._unsent = self._unsent[tcp.send(self._unsent) :]
                if not self._unsent:
                    self._loop.watch(tcp.fileno(), READ, lambda _events: self._go_on(tcp))
            data = tcp.recv(CHUNK)
            self._received += data
            response = parse_response(self._received, closed=not data)
        except BlockingIOError:
            return
        except (OSError, Malformed):
            self._finish(None)
            return
        if response is not None:
            self._finish(response)

    def _finish(self, response: HttpResponse | None) -> None:
        if not self._done:
            self.cancel()
            self._on_done(response)
