"""The rules of a DERP server: from the first byte of HTTP to the last PeerGone, without a socket.

    HTTP --request--> AUTH --ClientInfo--> [VERIFY] --> UP --> GONE
     30 s             10 s

`receive` takes the bytes of one connection in a buffer it may write into (see `relay_switch`) and says
how many it used; the rest must come again with more behind it. `lone` does the same for most frames
that come alone, and sooner. A client that breaks the rules is closed without a word, as is one whose
ClientInfo proves nothing.

Rules worth knowing: a client that has received from a peer is told once when that peer is gone from
the region; one that sends disco to an unknown key is told so, 3 times and then once a second; frames
10, 11 and 0a are for relays that know the mesh key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from hmac import compare_digest

from node.core import http_upgrade, metrics, relay_entrance, relay_metrics
from node.core.rate_limit import Meter, RateLimit
from node.core.relay_link import (
    ClientConnected,
    ClientGone,
    Close,
    Link,
    Output,
    Pause,
    Phase,
    Send,
    Verify,
)
from node.core.relay_mesh import RelayMesh, need_mesh, present
from node.core.relay_outbox import MESH_WRITE_TIMEOUT
from node.core.relay_registry import Registry
from node.core.relay_switch import Switch, gather
from node.core.relay_timers import RelayTimers
from node.core.token_bucket import TokenBucket
from node.keys import KEY_SIZE, NodePrivate, NodePublic
from node.wire import derp, derp_framing, derp_login
from node.wire.derp_framing import HEADER, HEADER_SIZE
from node.wire.endpoint import Endpoint
from node.wire.malformed import Malformed

AUTH_TIMEOUT = 10.0  # seconds from ServerKey to ClientInfo
KEEPALIVE = 60.0  # seconds, and up to KEEPALIVE_SPREAD more, so that clients do not fall into step
KEEPALIVE_SPREAD = 5.0
MAX_SEND = KEY_SIZE + derp_framing.MAX_PACKET
MAX_CONTROL = MAX_SEND + KEY_SIZE  # the longest frame a client may send: ForwardPacket

_FROM_CLIENTS = frozenset(
    (
        derp_framing.CLIENT_INFO, derp_framing.NOTE_PREFERRED, derp_framing.FORWARD_PACKET,
        derp_framing.WATCH_CONNS, derp_framing.CLOSE_PEER, derp_framing.PING, derp_framing.PONG,
    )
)  # fmt: skip
_LOOPBACK = ("127.", "::1")


class RelayServer:
    def __init__(
        self,
        private: NodePrivate,
        *,
        random: Callable[[int], bytes],
        mesh_key: bytes | None = None,
        allowed: Collection[NodePublic] | None = None,
        verify_outside: bool = False,
        rate_limit: RateLimit | None = None,
        accepts: tuple[float, float] | None = None,
    ) -> None:
        """`accepts`: new connections a second, and at once."""
        self.key = private.public
        self.allowed = allowed  # None: everybody
        self.rate_limit = rate_limit
        self._accepts = TokenBucket(*accepts, now=float("-inf")) if accepts else None
        self.registry = Registry()
        self.links: set[Link] = set()
        self._private, self._random = private, random
        self._mesh_key, self._verify_outside = mesh_key, verify_outside
        self._switch = Switch(self.registry)
        self.counters: Counter[str] = self._switch.counters
        self.drops = self._switch.drops
        self.mesh = RelayMesh(self.registry, self.counters)
        self._timers = RelayTimers()
        self.outside: Callable[[], Iterable[metrics.Metric]] = tuple  # what else to tell

    # --- connections come and go ---

    def may_accept(self, now: float) -> bool:
        """Whether one more connection is within the limit; one that is not is closed at once."""
        if self._accepts is None or self._accepts.take(1, now):
            return True
        self.counters["accepts_over_limit"] += 1
        return False

    def accept(self, source: Endpoint, now: float) -> Link:
        link = Link(source)
        self.links.add(link)
        self.counters["accepts"] += 1
        self._timers.set(link, now + http_upgrade.REQUEST_TIMEOUT)
        return link

    def lost(self, link: Link, why: str, now: float) -> list[Output]:
        """The stream ended, or could not be written to."""
        outputs: list[Output] = []
        self._close(link, why, outputs)
        return outputs

    def write_timed_out(self, link: Link, now: float) -> list[Output]:
        self.counters["sclient_write_timeouts"] += 1
        return self.lost(link, f"took nothing for {link.outbox.timeout:.0f} s", now)

    def verified(self, link: Link, allowed: bool, now: float) -> list[Output]:
        outputs: list[Output] = []
        if link.phase is Phase.VERIFY:
            if allowed:
                self._register(link, outputs, now)
            else:
                self._close(link, "not admitted", outputs)
        return outputs

    # --- bytes ---

    def receive(
        self, link: Link, buffer: bytearray, end: int, now: float
    ) -> tuple[int, list[Output]]:
        """Uses what it can of `buffer[:end]`; how many bytes that was, and what is to be done."""
        outputs: list[Output] = []
        runs: list[tuple[Link, int, int]] = []
        used = 0
        try:
            if link.phase is Phase.HTTP:
                used = self._receive_request(link, buffer, end, outputs, now)
            if link.phase is Phase.AUTH:
                info = relay_entrance.read_client_info(buffer, used, end, self._private)
                if info is not None:
                    key, details, used = info
                    self._login(link, key, details, outputs, now)
            if link.phase is Phase.UP:
                used = self._receive_frames(link, buffer, used, end, runs, outputs, now)
        except Malformed as problem:
            self.counters["malformed"] += 1
            self._close(link, str(problem), outputs)
        if link.phase is Phase.UP and not link.mesh and self.rate_limit is not None:
            self._meter(link, self.rate_limit, used, outputs, now)
        if runs:  # the packets first: none may come after the news that its sender is gone
            outputs[:0] = gather(runs, memoryview(buffer))
        return (end if link.phase is Phase.GONE else used), outputs

    def lone(self, link: Link, buffer: bytearray, size: int) -> Link | None:
        """Whose `buffer[:size]` is now, where it was one frame like the last; else None: `receive` it."""
        if link.skip or self.rate_limit is not None:
            return None
        return self._switch.lone(link, buffer, size)

    def _meter(
        self, link: Link, limit: RateLimit, size: int, outputs: list[Output], now: float
    ) -> None:
        if link.meter is None or link.meter.limit is not limit:
            link.meter = Meter(limit, now)
        until = link.meter.spend(size, now)
        if until > now:
            self.counters["rate_limited"] += 1
            outputs.append(Pause(link, until))

    def _receive_request(
        self, link: Link, buffer: bytearray, end: int, outputs: list[Output], now: float
    ) -> int:
        try:
            found = relay_entrance.read_request(buffer, end)
            if found is None:
                return 0
            request, stop = found
            if http_upgrade.wants_upgrade(request):
                outputs += relay_entrance.greet(link, request, end - stop, self.key)
                link.ideal = "ideal-node" not in request.headers
                link.phase = Phase.AUTH
                self.counters["websocket_accepts"] += request.wants_websocket
                self._timers.set(link, now + AUTH_TIMEOUT)
                return stop
        except http_upgrade.BadRequest as bad:
            self._answer(link, http_upgrade.response(bad.status, f"{bad}\n"), outputs)
            return end
        numbers = self.metrics() if link.source.address.startswith(_LOOPBACK) else None
        self._answer(link, http_upgrade.answer(request, numbers), outputs)
        return end

    def _answer(self, link: Link, answer: bytes, outputs: list[Output]) -> None:
        self.counters["http_answers"] += 1
        outputs.append(Send(link, answer))
        self._close(link, "answered", outputs, flush=True)

    def _login(
        self, link: Link, key: NodePublic, details: derp_login.ClientDetails,
        outputs: list[Output], now: float,
    ) -> None:  # fmt: skip
        link.key, link.raw_key = key, key.raw
        link.prober = details.is_prober
        link.mesh = (
            self._mesh_key is not None
            and details.mesh_key is not None
            and compare_digest(details.mesh_key, self._mesh_key)
        )
        if link.mesh:
            link.outbox.timeout = MESH_WRITE_TIMEOUT
            if key == self.key:
                return self._close(link, "this is myself", outputs)
        elif self.allowed is not None and key not in self.allowed:
            self.counters["not_admitted"] += 1
            return self._close(link, "not admitted", outputs)
        elif self._verify_outside:
            link.phase = Phase.VERIFY
            outputs.append(Verify(link, key))
            return None
        return self._register(link, outputs, now)

    def _register(self, link: Link, outputs: list[Output], now: float) -> None:
        assert link.key is not None
        link.phase = Phase.UP
        spread = int.from_bytes(self._random(2), "big") / 0x10000 * KEEPALIVE_SPREAD
        link.keepalive = KEEPALIVE + spread
        self._timers.set(link, now + link.keepalive)
        if self.registry.add(link):
            outputs.append(ClientConnected(link.key, link.source))
        else:
            self.counters["counter_total_dup_client_conns"] += 1
        outputs += self.mesh.tell_watchers(present(link))
        details = derp_login.ServerDetails().pack()
        nonce = self._random(derp_framing.NONCE_SIZE)
        sealed = derp_login.seal(details, nonce, self._private, link.key)
        outputs.append(Send(link, derp.ServerInfo(sealed).pack()))

    def _receive_frames(
        self, link: Link, buffer: bytearray, at: int, end: int,
        runs: list[tuple[Link, int, int]], outputs: list[Output], now: float,
    ) -> int:  # fmt: skip
        start = at
        if link.skip:
            skipped = min(link.skip, end - at)
            link.skip -= skipped
            at += skipped
        while end - at >= HEADER_SIZE and link.phase is Phase.UP:
            kind, length = HEADER.unpack_from(buffer, at)
            stop = at + HEADER_SIZE + length
            if kind == derp_framing.SEND_PACKET:
                if not KEY_SIZE <= length <= MAX_SEND:
                    raise Malformed(f"SendPacket: {length} bytes")
                if stop > end:
                    break
                size = HEADER_SIZE + length
                at = self._switch.run(link, buffer, at, end, size, runs, outputs, now)
            elif kind not in _FROM_CLIENTS:
                self.counters["unknown_frames"] += 1
                link.skip = max(0, stop - end)
                at = min(stop, end)
            elif length > MAX_CONTROL:
                raise Malformed(f"frame {kind:02x}: {length} bytes")
            elif stop > end:
                break
            else:
                payload = bytes(buffer[at + HEADER_SIZE : stop])
                at = stop
                self._receive_frame(link, kind, payload, outputs)
        if at > start and link.phase is Phase.UP:
            self.registry.spoke(link)
        return at

    def _receive_frame(self, link: Link, kind: int, payload: bytes, outputs: list[Output]) -> None:
        match derp.parse_frame(kind, payload):
            case derp.Ping(data):
                self.counters["got_ping"] += 1
                if link.outbox.idle:  # one that does not read its pongs gets no more of them
                    self.counters["sent_pong"] += 1
                    outputs.append(Send(link, derp.Pong(data).pack()))
            case derp.NotePreferred(on):
                self._note_preferred(link, on)
            case derp.ForwardPacket() as frame:
                need_mesh(link, "ForwardPacket")
                self._switch.forwarded(frame, outputs)
            case derp.WatchConns():
                need_mesh(link, "WatchConns")
                outputs += self.mesh.watch(link)
            case derp.ClosePeer(peer):
                need_mesh(link, "ClosePeer")
                client = self.registry.clients.get(peer.raw)
                for victim in list(client.links) if client else []:
                    self._close(victim, "closed by a relay of the mesh", outputs)
            case derp.ClientInfo():
                raise Malformed("ClientInfo: a second one")

    def _note_preferred(self, link: Link, on: bool) -> None:
        if link.preferred != on:
            link.preferred = on
            self.counters["home_moves_in" if on else "home_moves_out"] += 1

    # --- time ---

    @property
    def deadline(self) -> float | None:
        return self._timers.deadline

    def tick(self, now: float) -> list[Output]:
        outputs: list[Output] = []
        while (link := self._timers.due(now)) is not None:
            if link.phase is Phase.UP:
                self._timers.set(link, now + link.keepalive)
                if link.outbox.empty:  # else there is something on its way already
                    outputs.append(Send(link, derp.KeepAlive().pack()))
            else:
                self._close(link, f"too slow in the {link.phase.name} phase", outputs)
        return outputs

    def metrics(self) -> str:
        ours = relay_metrics.relay_metrics(
            self.counters, self.drops, self.links, self.registry, self.mesh.updates
        )
        return metrics.text((*ours, *self.outside()))

    # --- the end ---

    def _close(self, link: Link, why: str, outputs: list[Output], flush: bool = False) -> None:
        if link.phase is Phase.GONE:
            return
        was_up = link.phase is Phase.UP
        link.phase, link.patch = Phase.GONE, None
        self.links.discard(link)
        outputs.append(Close(link, why, flush))
        if was_up:
            self._unregister(link, outputs)
        if not flush:
            link.outbox.drain("gone_disconnected")
        self.drops.add(link.outbox.drops)
        link.outbox.drops = None

    def _unregister(self, link: Link, outputs: list[Output]) -> None:
        assert link.key is not None
        if self.registry.remove(link):
            outputs += self.mesh.tell_watchers(derp.PeerGone(link.key).pack())
            outputs += self.mesh.tell_gone(link.raw_key)
            outputs.append(ClientGone(link.key))
