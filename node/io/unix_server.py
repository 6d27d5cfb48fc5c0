"""Requests and answers over a Unix stream socket: any protocol whose requests end with certain bytes.

Any number of clients at once, up to a bound; one that goes away, never reads or sends rubbish ends
its own connection and nothing else. The socket file has mode 0600: who may open it may do all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable
from typing import TypeAlias

from node.io.loop import READ, WRITE, Loop

CLIENTS = 64
REQUEST = 65536  # bytes
UNREAD = 1 << 20  # bytes of answers that a client has not read: more, and it is gone

Answer: TypeAlias = Callable[[bytes], None]
Handler: TypeAlias = Callable[[bytes, Answer], None]


class SocketTaken(Exception):
    """One line: which socket, and why we cannot have it."""


class UnixServer:
    """`end` is what a request ends with; the handler gets it without."""

    def __init__(self, loop: Loop, path: str, end: bytes, handle: Handler) -> None:
        self._loop, self._path, self._end, self._handle = loop, path, end, handle
        self._clients: set[_Client] = set()
        self._socket = _listen(path)
        loop.watch(self._socket.fileno(), READ, self._accept)

    def close(self) -> None:
        for client in list(self._clients):
            client.close()
        self._loop.forget(self._socket.fileno())
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def _accept(self, _events: int) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:  # gone again already, or no descriptor left
            return
        if len(self._clients) >= CLIENTS:
            connection.close()
            return
        client = _Client(self._loop, connection, self._end, self._handle, self._clients.discard)
        self._clients.add(client)


class _Client:
    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        end: bytes,
        handle: Handler,
        on_close: Callable[[_Client], None],
    ) -> None:
        self._loop, self._socket, self._end = loop, connection, end
        self._handle, self._on_close = handle, on_close
        self._rest = b""
        self._unsent = b""
        self._open = True
        connection.setblocking(False)
        loop.watch(connection.fileno(), READ, self._ready)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._on_close(self)

    def answer(self, value: bytes) -> None:
        """May be called at any time later, and when the client has gone."""
        if self._open:
            self._unsent += value
            self._flush()

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & ~WRITE and self._open:
            self._read()

    def _read(self) -> None:
        try:
            data = self._socket.recv(REQUEST)
        except BlockingIOError:
            return None
        except OSError:
            return self.close()
        if not data:
            return self.close()
        *requests, self._rest = (self._rest + data).split(self._end)
        for request in requests:
            self._handle(request, self.answer)
        if len(self._rest) > REQUEST:
            self.close()
        return None

    def _flush(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            return self.close()
        if len(self._unsent) > UNREAD:
            return self.close()
        wanted = READ | WRITE if self._unsent else READ
        return self._loop.watch(self._socket.fileno(), wanted, self._ready)


def _listen(path: str) -> socket.socket:
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    try:
        listener.bind(path)
        listener.listen(CLIENTS)
    except OSError as error:
        listener.close()
        raise SocketTaken(f"socket {path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def _remove_stale(path: str) -> None:
    """The socket of a node that was killed; never one that answers, and never another file."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            raise SocketTaken(f"socket {path}: there is a file that is no socket")
    except FileNotFoundError:
        return
    except OSError as error:
        raise SocketTaken(f"socket {path}: {error.strerror or error}") from None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                os.unlink(path)
                return
    raise SocketTaken(f"socket {path}: another node answers there")
