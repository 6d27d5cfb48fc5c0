"""A node's connection to one relay: dial, TLS, and the DERP client's rules on an epoll loop.

    RelayConnection(loop, relay, private, ca_file, on_event)

starts dialling at once. Events (`node.core.relay_events`): RelayUp when packets are delivered to us,
PacketsReceived, PeerGone, RelayPong, RelayHealth, and as the very last one RelayDown, unless `close`
was called. Connecting again is the owner's business. Events come from the loop, never from inside
a call of a method here.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from node.core.relay_client import RelayClient
from node.core.relay_events import Event, FrameMessages, Output, RelayDown, RelayUp, SendBytes
from node.core.relay_outbox import TLS_RECORD, Outbox
from node.io import tls_client
from node.io.loop import READ, WRITE, Loop, Timer
from node.io.relay_opening import RelayOpening
from node.keys import NodePrivate, NodePublic
from node.netmap import DerpNode
from node.wire.derp_login import ClientDetails
from node.wire.malformed import Malformed

if TYPE_CHECKING:
    from node.core.http_connect import Proxy
    from node.io.websocket_stream import WebSocketStream

CONNECT_TIMEOUT = 10.0  # seconds: name, TCP, TLS and login together
BUFFER = 256 * 1024

_LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_shared = bytearray(BUFFER)
_view = memoryview(_shared)


class RelayConnection:
    def __init__(
        self,
        loop: Loop,
        relay: DerpNode,
        private: NodePrivate,
        ca_file: str | None,
        on_event: Callable[[Event], None],
        *,
        counters: Counter[str] | None = None,
        details: ClientDetails | None = None,
        connect_timeout: float = CONNECT_TIMEOUT,
        proxy: Proxy | None = None,
        websocket: bool = False,
    ) -> None:
        self.relay = relay
        self.fast_start = False
        self.outbox = Outbox()
        self._loop, self._on_event = loop, on_event
        self.counters = Counter[str]() if counters is None else counters
        self._client = RelayClient(
            private, relay.host_name, random=os.urandom, details=details, counters=self.counters
        )
        self._stream: ssl.SSLSocket | WebSocketStream | None = None
        self._websocket = websocket
        self._local_address: str | None = None
        self._closed = False
        self._write_wanted = False
        self._timer: Timer | None = None
        self._connect_timeout = connect_timeout
        self._patience = loop.at(loop.now() + connect_timeout, self._connect_timed_out)
        self._opening = RelayOpening(loop, relay, ca_file, proxy, self._opened, self._down)

    # --- what the owner asks for ---

    @property
    def up(self) -> bool:
        return self._client.can_send and not self._closed

    @property
    def local_address(self) -> str | None:
        """Where it goes out from, once there is TLS."""
        return self._local_address

    @property
    def server_key(self) -> NodePublic | None:
        return self._client.server_key

    def send_packets(self, peer: NodePublic, packets: Sequence[bytes]) -> None:
        """To a peer, in one write. Dropped before the login, and the oldest ones when the relay is slow."""
        frames = self._client.packets(peer, packets, self._loop.now())
        if frames:
            self.send_frames(frames)
        else:
            self.counters["dropped_not_up"] += len(packets)

    def send_frames(self, frames: bytes) -> None:
        """Packet frames ready made, droppable like all packets."""
        if not self.up or self._stream is None:
            return
        if not self.outbox.empty:
            self.outbox.push(frames)
            return
        sent = self._write(frames)
        if sent < len(frames):
            self.outbox.hold(frames, sent, self._loop.now())
            self._want_write(True)

    def note_preferred(self, on: bool) -> None:
        self._handle(self._client.note_preferred(on))

    def watch_conns(self) -> None:
        self._handle(self._client.watch_conns())

    def ping(self) -> None:
        """RelayPong follows, or RelayDown when the connection is half-open."""
        self._handle(self._client.ping(self._loop.now()))

    def close(self) -> None:
        """No event follows."""
        if self._closed:
            return
        self._closed = True
        self._patience.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._opening.cancel()
        if self._stream is not None:
            self._loop.forget(self._stream.fileno())
            self._stream.close()

    # --- connecting ---

    def _connect_timed_out(self) -> None:
        self._down(f"no connection within {self._connect_timeout:g} s", retry=True)

    def _opened(self, tls: ssl.SSLSocket) -> None:
        self._stream, self._local_address = tls, tls.getsockname()[0]
        self._loop.watch(tls.fileno(), READ, self._ready)
        if self._websocket:
            self._handle(self._client.start_websocket(self._loop.now()))
            return
        key = tls_client.meta_key(tls)
        self.fast_start = key is not None
        self._handle(self._client.start(key, self._loop.now()))

    def _frame_messages(self, early: bytes) -> None:
        """The relay agreed to WebSocket: from here on everything is in messages."""
        from node.io.websocket_stream import WebSocketStream  # late: few use it

        assert isinstance(self._stream, socket.socket)
        try:
            self._stream = WebSocketStream(self._stream, client=True, early=early)
        except Malformed as problem:
            self._down(f"the relay broke the protocol: {problem}", retry=True)
            return
        if early:
            self._loop.soon(self._read)

    # --- running ---

    def _ready(self, events: int) -> None:
        if events & WRITE and self._write_wanted:
            self._flush()
        if events & ~WRITE and not self._closed:
            self._read()

    def _read(self) -> None:
        """All that TLS has, at most one buffer full, as one batch."""
        stream, size, end = self._stream, 0, ""
        if stream is None or self._closed:
            return
        try:
            while BUFFER - size >= TLS_RECORD:  # room for a whole one: none is left half read
                got = stream.recv_into(_view[size:])
                if not got:
                    end = "the relay closed the connection"
                    break
                size += got
        except _LATER:
            pass
        except OSError as error:
            end = f"the connection broke: {error.strerror or error}"
        if size:
            self._handle(self._client.receive(bytes(_view[:size]), self._loop.now()))
        if end and not self._closed:
            self._handle(self._client.closed(end))

    def _handle(self, outputs: Sequence[Output]) -> None:
        if self._closed:
            return
        for output in outputs:
            if isinstance(output, SendBytes):
                self.outbox.put(output.data)
            elif isinstance(output, FrameMessages):
                self._frame_messages(output.early)
            elif isinstance(output, RelayDown):
                self._down(output.why, output.retry)
            else:
                if isinstance(output, RelayUp):
                    self._patience.cancel()
                self._on_event(output)
        if not self._closed and not self.outbox.empty:
            self._flush()
        self._set_timer()

    def _write(self, data: bytes | memoryview) -> int:
        """How much TLS took before it said "later"."""
        assert self._stream is not None
        sent, view = 0, memoryview(data)
        try:
            while sent < len(
                view
            ):  # by records: TLS does not say how much of a longer one has gone
                sent += self._stream.send(view[sent : sent + TLS_RECORD])
        except _LATER:
            pass
        except OSError as error:
            why = f"the connection broke: {error.strerror or error}"
            self._loop.soon(lambda: self._down(why, retry=True))
            return len(view)
        return sent

    def _flush(self) -> None:
        while chunk := self.outbox.chunk():
            sent = self._write(chunk)
            self.outbox.sent(sent)
            if sent < len(chunk):
                break
        self._want_write(not self.outbox.empty)

    def _want_write(self, wanted: bool) -> None:
        if wanted != self._write_wanted and self._stream is not None:
            self._write_wanted = wanted
            self._loop.watch(self._stream.fileno(), READ | WRITE if wanted else READ, self._ready)

    def _set_timer(self) -> None:
        deadline = self._client.deadline
        if self._closed or deadline is None:
            return
        if self._timer is None or self._timer.call is None or self._timer.when > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._handle(self._client.tick(self._loop.now()))

    def _down(self, why: str, retry: bool) -> None:
        if self._closed:
            return
        self.close()
        self._on_event(RelayDown(why, retry))
