"""One socket of the relay server, plain, TLS or WebSocket, and what still has to go out on it.

OpenSSL gives one record at a time. A read with room for a whole one leaves nothing behind inside TLS,
where epoll could not see it. Often one record is all there is, and to ask TLS for more would cost an
exception, so the kernel is asked first.

And OpenSSL is given one record at a time: a longer write that has to wait would not say how much of it
has gone, and ends the connection when it is tried again with less.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from fcntl import ioctl
from termios import FIONREAD
from typing import TYPE_CHECKING

from node.core.relay_link import Link
from node.core.relay_outbox import TLS_RECORD
from node.io.loop import Timer

if TYPE_CHECKING:
    from node.io.websocket_stream import WebSocketStream

_waiting = bytearray(4)


class Channel:
    """Non-blocking. `rest` is the beginning of a frame whose end has not come yet."""

    __slots__ = (
        "closing", "fd", "in_records", "keeps_some", "link", "paused", "rest", "shaking", "sock",
        "timer", "waits_for",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, link: Link) -> None:
        self.sock: socket.socket | WebSocketStream = sock
        self.link = link
        self.fd = sock.fileno()
        self.shaking = isinstance(sock, ssl.SSLSocket)  # the handshake is not done yet
        self.in_records = self.shaking  # which are written and read one by one
        self.keeps_some = False  # a read may leave bytes where epoll does not see them
        self.paused = False  # by the rate limit
        self.closing = False  # as soon as all is sent
        self.waits_for = 0  # what epoll was asked for
        self.rest = b""
        self.timer: Timer | None = None  # for a write that stalls

    @property
    def tcp(self) -> socket.socket:
        """Beneath WebSocket, if that is spoken."""
        return self.sock if isinstance(self.sock, socket.socket) else self.sock.sock

    def read(self, view: memoryview, size: int, limit: int) -> tuple[int, bool]:
        """Fills `view[size:limit]`; where the bytes end, and whether that was the end of all."""
        recv_into = self.sock.recv_into
        is_sure = self.keeps_some  # that it is worth while to ask for more
        try:
            while True:
                got = recv_into(view[size:limit])
                size += got
                if not got or not self.in_records or limit - size < TLS_RECORD:
                    return size, not got
                if not is_sure and not self._has_more():
                    return size, False
                is_sure = True
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return size, False
        except OSError:
            return size, True

    def _has_more(self) -> bool:
        ioctl(self.fd, FIONREAD, _waiting)
        return any(_waiting)

    def write(self, data: bytes | memoryview) -> int:
        """How many bytes the socket took. Raises OSError when the connection is broken."""
        view = memoryview(data)
        sent, send = 0, self.sock.send
        step = TLS_RECORD if self.in_records else len(view)
        try:
            while sent < len(view):
                sent += send(view[sent : sent + step])
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            pass
        return sent

    def relay(self, runs: Sequence[bytes | memoryview], now: float) -> None:
        """Packet frames, now if the reader keeps up, else in its queue. Raises OSError."""
        outbox = self.link.outbox
        if not outbox.empty:
            for run in runs:
                outbox.push(run)
            return
        frames = runs[0] if len(runs) == 1 else b"".join(runs)
        sent = self.write(frames)
        if sent < len(frames):
            outbox.hold(frames, sent, now)

    def flush(self, now: float) -> bool:
        """Whether everything that waited is out. Raises OSError."""
        outbox = self.link.outbox
        while chunk := outbox.chunk():
            sent = self.write(chunk)
            outbox.sent(sent)
            if sent < len(chunk):
                outbox.blocked(now)
                return False
        return True

    def frame_messages(self) -> None:
        """From now on in WebSocket messages. Raises OSError when bytes from before are stuck."""
        from node.io.websocket_stream import WebSocketStream  # late: few use it

        if not self.flush(0.0):
            raise BlockingIOError("the answer to the upgrade does not leave")
        assert isinstance(self.sock, socket.socket)
        self.sock = WebSocketStream(self.sock, client=False)
        self.in_records = self.keeps_some = True

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if isinstance(self.sock, ssl.SSLSocket) and not self.shaking:
            with suppress(OSError, ValueError):  # "later" too: we do not wait for an answer
                self.sock.unwrap()
        self.sock.close()
