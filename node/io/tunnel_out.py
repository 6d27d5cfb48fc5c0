"""The first bytes on a TCP connection to an HTTP proxy: asks it for a tunnel and waits for its yes.

It reads not one byte behind the answer: what comes then is for TLS.
"""

from __future__ import annotations

import socket
from collections.abc import Callable

from node.core.http_connect import Proxy, connect_request, is_connected
from node.io.loop import READ, WRITE, Loop
from node.wire.malformed import Malformed


class TunnelOut:
    def __init__(
        self,
        loop: Loop,
        tcp: socket.socket,
        proxy: Proxy,
        host: str,
        port: int,
        on_open: Callable[[socket.socket], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self._loop, self._tcp, self._proxy = loop, tcp, proxy
        self._on_open, self._on_failed = on_open, on_failed
        self._request = connect_request(host, port, proxy)
        self._answer = b""
        loop.watch(tcp.fileno(), WRITE, lambda _events: self._ask())

    def cancel(self) -> None:
        self._loop.forget(self._tcp.fileno())
        self._tcp.close()

    def _ask(self) -> None:
        try:
            self._request = self._request[self._tcp.send(self._request) :]
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(f"the connection broke: {error.strerror or error}")
            return
        if not self._request:
            self._loop.watch(self._tcp.fileno(), READ, lambda _events: self._listen())

    def _listen(self) -> None:
        try:
            seen = self._tcp.recv(4096, socket.MSG_PEEK)
            end = (self._answer + seen).find(b"\r\n\r\n")
            size = len(seen) if end < 0 else end + 4 - len(self._answer)
            self._answer += self._tcp.recv(size)
            if not seen:
                self._fail("it hung up")
            elif is_connected(self._answer):
                self._loop.forget(self._tcp.fileno())
                self._on_open(self._tcp)
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail(f"the connection broke: {error.strerror or error}")
        except Malformed as problem:
            self._fail(str(problem))

    def _fail(self, why: str) -> None:
        self.cancel()
        self._on_failed(f"the proxy {self._proxy}: {why}")
