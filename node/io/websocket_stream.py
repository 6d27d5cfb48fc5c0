"""A socket under WebSocket framing, to be read and written like any other non-blocking stream.

It behaves as TLS sockets do: a write that raises BlockingIOError may have gone out in part, and the
very same bytes must be written again later. Pings are answered in passing; the other side's goodbye
is the end of the stream.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

from node.wire.malformed import Malformed
from node.wire.websocket import NORMAL_CLOSURE, Opcode, Unframer, pack

MESSAGE = 16_384  # bytes: one TLS record's worth, so that what is under way stays small
READ = 16_384  # bytes at a time: what one TLS record holds


class WebSocketStream:
    def __init__(self, sock: socket.socket, *, client: bool, early: bytes = b"") -> None:
        """`early`: what was read behind the end of the HTTP answer. Raises Malformed."""
        self.sock = sock
        self._client = client
        self._unframer = Unframer(masked=not client)
        self._ready = self._unframer.receive(early)
        self._under_way = memoryview(b"")  # a frame that went out in part, or waits to
        self._taken = 0  # bytes of the caller's that are in it
        self._pong: bytes | None = None  # the latest is enough; RFC 6455 §5.5.3

    def fileno(self) -> int:
        return self.sock.fileno()

    def recv_into(self, view: memoryview) -> int:
        """0 at the end. Raises BlockingIOError (or TLS's like) when there is nothing yet."""
        while not self._ready:
            if self._unframer.closed:
                return 0
            data = self.sock.recv(min(len(view), READ))
            if not data:
                return 0
            try:
                self._ready = self._unframer.receive(data)
            except Malformed as problem:
                raise ConnectionAbortedError(str(problem)) from None
            self._answer_pings()
        size = min(len(view), len(self._ready))
        view[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def send(self, data: bytes | memoryview) -> int:
        if not self._taken:
            self._finish_frame()
            piece = memoryview(data)[:MESSAGE]
            self._under_way = memoryview(self._frame(Opcode.BINARY, piece))
            self._taken = len(piece)
        self._finish_frame()
        taken, self._taken = self._taken, 0
        self._answer_pings()
        return taken

    def close(self) -> None:
        if not self._taken:  # else the goodbye would stand in the middle of a frame
            with suppress(OSError):
                self._finish_frame()
                self.sock.send(self._frame(Opcode.CLOSE, NORMAL_CLOSURE.to_bytes(2, "big")))
        self.sock.close()

    def _answer_pings(self) -> None:
        if self._unframer.pings:
            self._pong = self._unframer.pings[-1]
            self._unframer.pings.clear()
        if self._pong is not None and not self._taken:
            with suppress(OSError):  # it goes out before the next message
                self._finish_frame()
                self._under_way = memoryview(self._frame(Opcode.PONG, self._pong))
                self._pong = None
                self._finish_frame()

    def _finish_frame(self) -> None:
        while self._under_way:
            self._under_way = self._under_way[self.sock.send(self._under_way) :]

    def _frame(self, opcode: Opcode, payload: bytes | memoryview) -> bytes:
        return pack(opcode, payload, os.urandom(4) if self._client else None)
