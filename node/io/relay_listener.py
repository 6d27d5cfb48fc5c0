"""The relay server's sockets on one epoll loop: accepts, TLS, one shared buffer, and slow readers.

Every connection reads into the same buffer, is served to the end, and leaves behind only the
beginning of an unfinished frame. So an idle client costs its TLS state and a few small objects.
A reader that does not keep up has a short queue of its own; nobody else waits for it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from typing import BinaryIO

from node.core.relay_link import (
    ClientConnected,
    ClientGone,
    Close,
    Forward,
    FrameMessages,
    Link,
    Output,
    Pause,
    Phase,
    Relay,
    Send,
    Verify,
)
from node.core.relay_server import RelayServer
from node.io.loop import READ, WRITE, Loop, Timer
from node.io.relay_channel import Channel
from node.wire.derp_framing import MAX_CLIENT_INFO
from node.wire.endpoint import Endpoint

READ_SIZE = 256 * 1024  # bytes of one round of one client
BUFFER = READ_SIZE + MAX_CLIENT_INFO + 4096  # behind the longest beginning of a frame
ACCEPTS = 64  # a round, so that a flood of new clients does not starve the others
ACCEPT_PAUSE = 0.1  # seconds to wait when the machine has no descriptors left
LINGER = 1.0  # seconds for a last answer to leave
USER_TIMEOUT = 15_000  # ms of unacknowledged data before the kernel gives a client up
TCP_KEEPALIVE_IDLE = 600  # seconds
V4_MAPPED = "::ffff:"

Aside = Verify | Forward | ClientConnected | ClientGone


class RelayListener:
    """`aside` gets what is not about bytes on these sockets. No TLS without a context.

    `tap` gets every byte that clients send, after TLS: what a relay could read, if it wanted to.
    """

    def __init__(
        self,
        loop: Loop,
        server: RelayServer,
        context: ssl.SSLContext | None,
        listeners: Sequence[socket.socket],
        aside: Callable[[Aside], None],
        tap: BinaryIO | None = None,
    ) -> None:
        self.server = server
        self._tap = tap
        self._loop, self._context, self._aside = loop, context, aside
        self._listeners = list(listeners)
        self._channels: dict[Link, Channel] = {}
        self._buffer = bytearray(BUFFER)
        self._view = memoryview(self._buffer)
        self._timer: Timer | None = None
        for sock in self._listeners:
            self._watch_listener(sock)

    def close(self) -> None:
        """Everybody is hung up on, and told so where TLS can say it at once."""
        for sock in self._listeners:
            self._loop.forget(sock.fileno())
            sock.close()
        if self._timer is not None:
            self._timer.cancel()
        for link in list(self._channels):
            self.handle(self.server.lost(link, "the relay stops", self._loop.now()))

    def connections(self) -> list[socket.socket]:
        """The clients' TCP sockets, for what the kernel knows of them."""
        return [channel.tcp for channel in self._channels.values()]

    def handle(self, outputs: Sequence[Output]) -> None:
        """Does what the server said. Control frames to one client leave in one write."""
        waiting: dict[Link, None] = {}
        for output in outputs:
            if type(output) is Relay:
                self._relay(output.link, output.runs)
            elif type(output) is Send:
                output.link.outbox.put(output.data)
                waiting[output.link] = None
            elif type(output) is Close:
                self._close(output)
            elif type(output) is Pause:
                self._pause(output)
            elif type(output) is FrameMessages:
                self._frame_messages(output.link)
            else:
                assert not isinstance(output, Send | Relay | Close | Pause | FrameMessages)
                self._aside(output)
        for link in waiting:
            channel = self._channels.get(link)
            if channel is not None:
                self._flush(channel)

    def resume(self, link: Link) -> None:
        """After `verified`: reads again, beginning with what had come meanwhile."""
        channel = self._channels.get(link)
        if channel is not None:
            self._wait_for_bytes(channel)
            self._serve(channel)

    def _pause(self, output: Pause) -> None:
        """TCP's window fills up meanwhile, and that slows the sender down."""
        channel = self._channels.get(output.link)
        if channel is not None and not channel.paused:
            channel.paused = True
            self._watch(channel, channel.waits_for & ~READ)
            self._loop.at(output.until, lambda: self._unpause(channel))

    def _unpause(self, channel: Channel) -> None:
        channel.paused = False
        if channel.link in self._channels and not channel.closing:
            self._wait_for_bytes(channel)

    def _frame_messages(self, link: Link) -> None:
        channel = self._channels.get(link)
        if channel is not None:
            try:
                channel.frame_messages()
            except OSError:
                self._lost(channel, "broken")

    def set_timer(self) -> None:
        deadline = self.server.deadline
        if deadline is None:
            return
        if self._timer is None or self._timer.when > deadline:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.handle(self.server.tick(self._loop.now()))
        self.set_timer()

    # --- new connections ---

    def _watch_listener(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            self._loop.watch(sock.fileno(), READ, lambda _events: self._accept(sock))

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                sock, source = listener.accept()
            except BlockingIOError:
                return
            except OSError:  # out of descriptors, or the client is gone already
                self.server.counters["accept_errors"] += 1
                self._loop.forget(listener.fileno())
                again = self._loop.now() + ACCEPT_PAUSE
                self._loop.at(again, lambda: self._watch_listener(listener))
                return
            if not self.server.may_accept(self._loop.now()):
                sock.close()
                continue
            try:
                self._welcome(sock, source)
            except OSError:  # reset before we looked
                self.server.counters["accept_errors"] += 1
                sock.close()

    def _welcome(self, sock: socket.socket, source: tuple[str, int]) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, TCP_KEEPALIVE_IDLE)
        if self._context is not None:
            sock = self._context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        address = source[0].removeprefix(V4_MAPPED) if "." in source[0] else source[0]
        link = self.server.accept(Endpoint(address, source[1]), self._loop.now())
        channel = self._channels[link] = Channel(sock, link)
        self._wait_for_bytes(channel)
        self.set_timer()

    def _shake_hands(self, channel: Channel) -> None:
        assert isinstance(channel.sock, ssl.SSLSocket)
        try:
            channel.sock.do_handshake()
        except ssl.SSLWantReadError:
            self._watch(channel, READ)
        except ssl.SSLWantWriteError:
            self._watch(channel, WRITE)
        except OSError:
            self.server.counters["tls_failures"] += 1
            self._lost(channel, "TLS handshake failed")
        else:
            channel.shaking = False
            self._wait_for_bytes(channel)
            self._read(channel)

    # --- bytes in ---

    def _ready(self, channel: Channel, events: int) -> None:
        if channel.shaking:
            self._shake_hands(channel)
            return
        if events & WRITE:
            self._flush(channel)
        if channel.link not in self._channels:
            return
        broken = events & ~(READ | WRITE)  # which epoll says whether asked or not
        if channel.closing:
            if broken:
                self._drop(channel)
        elif broken or (events & READ and not channel.paused):
            self._read(channel)

    def _read(self, channel: Channel) -> None:
        """One buffer full at most: then it is the next client's turn."""
        rest = len(channel.rest)
        self._view[:rest] = channel.rest
        size, ended = channel.read(self._view, rest, rest + READ_SIZE)
        channel.rest = b""
        if self._tap is not None:
            self._tap.write(self._view[rest:size])
        target = self.server.lone(channel.link, self._buffer, size)
        if target is not None:
            self._relay(target, (self._view[:size],))
        else:
            self._receive(channel, size)
        if ended:
            self._lost(channel, "hung up")

    def _serve(self, channel: Channel) -> None:
        size = len(channel.rest)
        self._view[:size] = channel.rest
        channel.rest = b""
        self._receive(channel, size)

    def _receive(self, channel: Channel, size: int) -> None:
        link = channel.link
        phase = link.phase
        used, outputs = self.server.receive(link, self._buffer, size, self._loop.now())
        if used < size:
            channel.rest = bytes(self._view[used:size])
        self.handle(outputs)
        if link.phase is not phase:  # a new phase has a new time limit
            self.set_timer()
            if link.phase is Phase.VERIFY:
                self._watch(channel, 0)

    # --- bytes out ---

    def _relay(self, link: Link, runs: Sequence[bytes | memoryview]) -> None:
        channel = self._channels.get(link)
        if channel is None:
            return
        try:
            channel.relay(runs, self._loop.now())
        except OSError:
            for run in runs:
                channel.link.outbox.lose("write_error", run)
            self._loop.soon(lambda: self._lost(channel, "broken"))
            return
        if not link.outbox.empty:
            self._stalled(channel)

    def _flush(self, channel: Channel) -> None:
        try:
            done = channel.flush(self._loop.now())
        except OSError:
            self._lost(channel, "broken")
            return
        if not done:
            self._stalled(channel)
        elif channel.closing:
            self._drop(channel)
        elif channel.waits_for & WRITE:
            self._watch(channel, channel.waits_for & ~WRITE)

    def _stalled(self, channel: Channel) -> None:
        self._watch(channel, channel.waits_for | WRITE)
        deadline = channel.link.outbox.deadline
        if channel.timer is None and deadline is not None:
            channel.timer = self._loop.at(deadline, lambda: self._check_stalled(channel))

    def _check_stalled(self, channel: Channel) -> None:
        channel.timer = None
        deadline = channel.link.outbox.deadline
        if deadline is None or channel.link not in self._channels:
            return
        if deadline <= self._loop.now():
            self.handle(self.server.write_timed_out(channel.link, self._loop.now()))
            self._drop(channel)
        else:
            channel.timer = self._loop.at(deadline, lambda: self._check_stalled(channel))

    # --- the end ---

    def _lost(self, channel: Channel, why: str) -> None:
        if channel.link in self._channels:
            self.handle(self.server.lost(channel.link, why, self._loop.now()))
            self._drop(channel)

    def _close(self, output: Close) -> None:
        channel = self._channels.get(output.link)
        if channel is None:
            return
        if not output.flush:
            self._drop(channel)
            return
        channel.closing = True
        self._watch(channel, channel.waits_for & ~READ)
        self._loop.at(self._loop.now() + LINGER, lambda: self._drop(channel))

    def _drop(self, channel: Channel) -> None:
        if self._channels.pop(channel.link, None) is None:
            return
        self._loop.forget(channel.fd)
        channel.close()

    def _wait_for_bytes(self, channel: Channel) -> None:
        self._watch(channel, READ | (channel.waits_for & WRITE))

    def _watch(self, channel: Channel, events: int) -> None:
        if channel.waits_for != events:
            channel.waits_for = events
            self._loop.watch(channel.fd, events, partial(self._ready, channel))
