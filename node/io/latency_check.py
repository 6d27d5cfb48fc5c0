"""How far a relay is over HTTPS: a request for /derp/latency-check, and the time to its answer.

For networks that let no STUN out. TCP and TLS come first and do not count, so what is measured is one
round trip, as by STUN.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from node.core.http_connect import Proxy
from node.io.loop import READ, Loop
from node.io.relay_opening import RelayOpening
from node.netmap import DerpNode
from node.wire.http_response import parse_response
from node.wire.malformed import Malformed

WITHIN = 2.0  # seconds for all of it: what is farther away is no relay to be at home at
CHUNK = 1 << 12  # bytes; the answer has no body
REQUEST = (
    "GET /derp/latency-check HTTP/1.1\r\n"
    "Host: {host}\r\n"
    "Connection: close\r\n"
    "User-Agent: punchlab\r\n\r\n"
)


class LatencyCheck:
    def __init__(
        self, loop: Loop, relay: DerpNode, ca_file: str | None, proxy: Proxy | None,
        on_done: Callable[[float | None], None], within: float = WITHIN,
    ) -> None:  # fmt: skip
        """`on_done` is called once, with seconds, or with None if no such answer came in time."""
        self._loop, self._relay, self._on_done = loop, relay, on_done
        self._tls: ssl.SSLSocket | None = None
        self._received = b""
        self._done = False
        self._timer = loop.at(loop.now() + within, lambda: self._finish(None))
        self._opening = RelayOpening(
            loop, relay, ca_file, proxy, self._opened, lambda _why, _retry: self._finish(None)
        )

    def cancel(self) -> None:
        """As if it had never been asked: `on_done` is not called."""
        self._done = True
        self._timer.cancel()
        self._opening.cancel()
        if self._tls is not None:
            self._loop.forget(self._tls.fileno())
            self._tls.close()
            self._tls = None

    def _opened(self, tls: ssl.SSLSocket) -> None:
        self._tls, asked_at = tls, self._loop.now()
        try:
            tls.send(REQUEST.format(host=self._relay.host_name).encode())
        except OSError:  # "later" too: a new connection has room for so little
            self._finish(None)
        else:
            self._loop.watch(tls.fileno(), READ, lambda _events: self._read(tls, asked_at))

    def _read(self, tls: ssl.SSLSocket, asked_at: float) -> None:
        try:
            data = tls.recv(CHUNK)
            self._received += data
            response = parse_response(self._received, closed=not data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except (OSError, Malformed):
            self._finish(None)
            return
        if response is not None:
            self._finish(self._loop.now() - asked_at if response.status == 200 else None)

    def _finish(self, latency: float | None) -> None:
        if not self._done:
            self.cancel()
            self._on_done(latency)
