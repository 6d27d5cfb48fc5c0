"""One socket of the relay server, plain or TLS, and what still has to go out on it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from enum import Enum, auto

from node.core.relay_link import Link
from node.io.loop import Timer

RECORD = 16_384  # a TLS record: OpenSSL takes and gives no more in one call
MIN_READ = RECORD  # room below which a read is put off to the next round


class Readable(Enum):
    NOTHING_MORE = auto()
    MORE = auto()  # there may be bytes that epoll does not see: inside TLS
    ENDED = auto()


class Channel:
    """Non-blocking. `rest` is the beginning of a frame whose end has not come yet."""

    __slots__ = ("closing", "fd", "link", "rest", "shaking", "sock", "timer", "tls", "waits_for")

    def __init__(self, sock: socket.socket, link: Link) -> None:
        self.sock, self.link = sock, link
        self.fd = sock.fileno()
        self.tls = isinstance(sock, ssl.SSLSocket)
        self.shaking = self.tls  # the handshake is not done yet
        self.closing = False  # as soon as all is sent
        self.waits_for = 0  # what epoll was asked for
        self.rest = b""
        self.timer: Timer | None = None  # for a write that stalls

    def read(self, view: memoryview, size: int, limit: int) -> tuple[int, Readable]:
        """Fills `view[size:limit]`; where the bytes end, and whether there may be more."""
        recv_into = self.sock.recv_into
        try:
            while True:
                got = recv_into(view[size:limit])
                if not got:
                    return size, Readable.ENDED
                size += got
                if not self.tls:
                    return size, Readable.NOTHING_MORE
                if limit - size < MIN_READ:
                    return size, Readable.MORE
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return size, Readable.NOTHING_MORE
        except OSError:
            return size, Readable.ENDED

    def write(self, data: bytes | memoryview) -> int:
        """How many bytes the socket took. Raises OSError when the connection is broken."""
        view = memoryview(data)
        sent, send = 0, self.sock.send
        try:
            while sent < len(view):
                sent += send(view[sent:])
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

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.sock.close()
