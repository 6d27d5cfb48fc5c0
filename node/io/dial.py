"""One TCP connection out of several addresses: whichever answers first.

The next address gets its try 200 ms after the one before, or at once when that one failed, so a
dead address family costs 200 ms and not a whole time-out (RFC 8305, in its simplest form).
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence

from node.io.loop import WRITE, Loop, Timer

STAGGER = 0.2  # seconds
SEGMENT = 1220  # bytes; every link carries 1280 (RFC 8200 §5), and not all say so if it is no more
USER_TIMEOUT = 15_000  # ms of unacknowledged data before the kernel gives the connection up


class Dial:
    def __init__(
        self,
        loop: Loop,
        addresses: Sequence[str],
        port: int,
        on_connected: Callable[[socket.socket], None],
        on_failed: Callable[[str], None],
    ) -> None:
        self._loop, self._port = loop, port
        self._on_connected, self._on_failed = on_connected, on_failed
        self._waiting = list(addresses)
        self._trying: dict[int, socket.socket] = {}
        self._timer: Timer | None = None
        self._why = "no address"
        self._done = False
        loop.soon(self._next)

    def cancel(self) -> None:
        self._done = True
        if self._timer is not None:
            self._timer.cancel()
        for fd, tcp in self._trying.items():
            self._loop.forget(fd)
            tcp.close()
        self._trying.clear()

    def _next(self) -> None:
        if self._done:
            return
        if self._timer is not None:
            self._timer.cancel()
        if not self._waiting:
            if not self._trying:
                self.cancel()
                self._on_failed(self._why)
            return
        self._timer = self._loop.at(self._loop.now() + STAGGER, self._next)
        self._try(self._waiting.pop(0))

    def _try(self, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            tcp = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            return self._failed(address, error.errno or 0)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        code = tcp.connect_ex((address, self._port))
        if code not in (0, errno.EINPROGRESS):
            tcp.close()
            return self._failed(address, code)
        self._trying[tcp.fileno()] = tcp
        self._loop.watch(tcp.fileno(), WRITE, lambda _events: self._answered(tcp, address))
        return None

    def _answered(self, tcp: socket.socket, address: str) -> None:
        self._loop.forget(tcp.fileno())
        del self._trying[tcp.fileno()]
        code = tcp.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            tcp.close()
            return self._failed(address, code)
        self.cancel()
        return self._on_connected(tcp)

    def _failed(self, address: str, code: int) -> None:
        self._why = f"{address} port {self._port}: {os.strerror(code).lower()}"
        self._loop.soon(self._next)
