"""A client's side of one DERP connection, from the HTTP upgrade on; TLS is already done outside.

Two ways in. *Fast start*: TLS 1.3 showed the meta certificate, so the server's key is known before a
byte was sent; request and ClientInfo leave in one flight and the server answers with frames only.
*Slow*: request, `101 Switching Protocols`, ServerKey, then ClientInfo. Both end with ServerInfo: from
then on the relay delivers to us. Packets may be sent as soon as ClientInfo is on its way.

    client --request [ClientInfo]--> server      client <--[101] ServerKey-- server
    client --[ClientInfo]----------> server      client <--ServerInfo------- server

A third way is the slow one in WebSocket messages.

The relay says something every 60 to 65 s, so 120 s of silence is a dead connection.

Its owner may ask sooner, by a ping, when it sends and hears nothing. TCP sends a lost segment again
after 0.2 s and a round trip, so an answer that takes 0.5 s, or four of this connection's round trips if
these are longer, is odd (`RelayQuiet`): odd enough to open a second connection beside this one, and to
keep whichever answers first. It is not odd enough to give this one up, for two losses in a row take TCP
0.6 s, three 1.4 s, and what is under way would be lost. After 5 s, the fourth try in vain, it is given up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from enum import Enum, auto
from itertools import groupby

from node.core.relay_events import (
    FrameMessages,
    Output,
    PacketsReceived,
    PeerGone,
    PeerPresent,
    RelayDown,
    RelayHealth,
    RelayPong,
    RelayQuiet,
    RelayUp,
    SendBytes,
)
from node.core.token_bucket import TokenBucket
from node.keys import KEY_SIZE, NodePrivate, NodePublic
from node.wire import derp_framing, derp_login, websocket
from node.wire.derp_framing import HEADER, HEADER_SIZE, PACKET_HEADER_SIZE, pack_frame
from node.wire.malformed import Malformed

LOGIN_TIMEOUT = 10.0  # seconds from the request to ServerInfo
SILENCE = 120.0  # seconds: twice the relay's keepalive
QUIET, QUIET_ROUND_TRIPS = 0.5, 4.0  # an unanswered ping: at least s, and at least round trips
PING_TIMEOUT = 5.0  # s
MAX_ANSWER = 16_384  # bytes of HTTP answer before we stop believing it is one

UPGRADE_REQUEST = (
    "GET /derp HTTP/1.1\r\n"
    "Host: {host}\r\n"
    "{upgrade}"
    "Connection: Upgrade\r\n"
    "User-Agent: punchlab\r\n\r\n"
)
DERP, FAST_START = "Upgrade: DERP\r\n", "Derp-Fast-Start: 1\r\n"
WEBSOCKET = (
    "Upgrade: websocket\r\n"
    f"Sec-WebSocket-Version: {websocket.VERSION}\r\n"
    f"Sec-WebSocket-Protocol: {websocket.SUBPROTOCOL}\r\n"
    "Sec-WebSocket-Key: {key}\r\n"
)


class Phase(Enum):
    NEW = auto()
    ANSWER = auto()  # waiting for 101
    SERVER_KEY = auto()
    SERVER_INFO = auto()
    UP = auto()
    DOWN = auto()


class RelayClient:
    def __init__(
        self,
        private: NodePrivate,
        host: str,
        *,
        random: Callable[[int], bytes],
        details: derp_login.ClientDetails | None = None,
        counters: Counter[str] | None = None,
    ) -> None:
        self.phase = Phase.NEW
        self.counters = Counter[str]() if counters is None else counters
        self._private, self._host, self._random = private, host, random
        self._details = details or derp_login.ClientDetails()
        self.server_key: NodePublic | None = None  # as soon as it is known
        self._rest = b""
        self._accept: str | None = None  # what a relay that agrees to WebSocket answers
        self._bucket: TokenBucket | None = None
        self._silent_at: float | None = None  # the login's or the connection's patience ends
        self._ping: tuple[bytes, float] | None = None  # what was sent, and when
        self._quiet_at: float | None = None  # when its answer is overdue; None: that was told
        self._login_at = 0.0
        self._round_trip: float | None = None  # the longest lately
        self._sources: dict[bytes, NodePublic] = {}

    @property
    def deadline(self) -> float | None:
        ends = [] if self._silent_at is None else [self._silent_at]
        if self._ping is not None:
            ends.append(self._ping[1] + PING_TIMEOUT)
        if self._quiet_at is not None:
            ends.append(self._quiet_at)
        return min(ends, default=None)

    @property
    def can_send(self) -> bool:
        return self.phase in (Phase.SERVER_INFO, Phase.UP)

    def start(self, server_key: NodePublic | None, now: float) -> list[Output]:
        """`server_key`: what the meta certificate said, or None for the slow way."""
        if server_key is None:
            return [self._request(now, DERP)]
        request = self._request(now, DERP + FAST_START).data
        return [SendBytes(request + self._login(server_key, now))]

    def start_websocket(self, now: float) -> list[Output]:
        """For networks that know WebSockets and no other upgrade; always the slow way."""
        key = websocket.new_key(self._random)
        self._accept = websocket.accept_key(key)
        return [self._request(now, WEBSOCKET.format(key=key))]

    def _request(self, now: float, upgrade: str) -> SendBytes:
        self._silent_at, self.phase = now + LOGIN_TIMEOUT, Phase.ANSWER
        return SendBytes(UPGRADE_REQUEST.format(host=self._host, upgrade=upgrade).encode())

    def receive(self, data: bytes, now: float) -> list[Output]:
        if self.phase in (Phase.NEW, Phase.DOWN):
            return []
        self._rest = self._rest + data if self._rest else data
        if self.phase is Phase.UP:
            self._silent_at = now + SILENCE
        try:
            if self.phase is Phase.ANSWER:
                return self._receive_answer(now)
            return self._receive_frames(now)
        except Malformed as problem:
            return self._down(f"the relay broke the protocol: {problem}")

    def closed(self, why: str) -> list[Output]:
        """The stream ended."""
        if self.phase is Phase.SERVER_INFO:
            why = f"the relay closed the connection at the login ({why}): it may not admit this key"
        return self._down(why)

    def packets(self, peer: NodePublic, packets: Sequence[bytes], now: float) -> bytes:
        """The SendPacket frames, for one write. Empty before the login."""
        if not self.can_send:
            return b""
        if self._bucket is not None:
            packets = self._within_rate(self._bucket, packets, now)
        parts: list[bytes] = []
        for size, run in groupby(packets, key=len):
            if size <= derp_framing.MAX_PACKET:
                header = derp_framing.packet_header(derp_framing.SEND_PACKET, peer.raw, size)
                parts += header, header.join(run)
        return b"".join(parts)

    def note_preferred(self, on: bool) -> list[Output]:
        return self._send(derp_framing.NOTE_PREFERRED, bytes([on]))

    def watch_conns(self) -> list[Output]:
        return self._send(derp_framing.WATCH_CONNS)

    def ping(self, now: float) -> list[Output]:
        """RelayPong comes, or RelayQuiet and at 5 s RelayDown. One at a time."""
        if not self.can_send or self._ping is not None:
            return []
        self._ping = (self._random(derp_framing.PING_SIZE), now)
        if self._round_trip is not None:
            self._quiet_at = now + max(QUIET, QUIET_ROUND_TRIPS * self._round_trip)
        return self._send(derp_framing.PING, self._ping[0])

    def tick(self, now: float) -> list[Output]:
        if self._ping is not None and now >= self._ping[1] + PING_TIMEOUT:
            return self._down(f"the relay left a ping unanswered for {PING_TIMEOUT:g} s")
        if self._quiet_at is not None and now >= self._quiet_at:
            self._quiet_at = None
            return [RelayQuiet()]
        if self._silent_at is None or now < self._silent_at:
            return []
        if self.phase is Phase.UP:
            return self._down(f"the relay was silent for {SILENCE:g} s")
        return self._down(f"the relay did not finish the login within {LOGIN_TIMEOUT:g} s")

    def _login(self, server: NodePublic, now: float) -> bytes:
        self.server_key, self.phase, self._login_at = server, Phase.SERVER_INFO, now
        nonce = self._random(derp_framing.NONCE_SIZE)
        sealed = derp_login.seal(self._details.pack(), nonce, self._private, server)
        return pack_frame(derp_framing.CLIENT_INFO, self._private.public.raw + sealed)

    def _send(self, kind: int, payload: bytes = b"") -> list[Output]:
        return [SendBytes(pack_frame(kind, payload))] if self.can_send else []

    def _down(self, why: str) -> list[Output]:
        if self.phase is Phase.DOWN:
            return []
        self.phase = Phase.DOWN
        self._rest, self._silent_at, self._ping, self._quiet_at = b"", None, None, None
        return [RelayDown(why, retry=True)]

    def _receive_answer(self, now: float) -> list[Output]:
        head, blank, rest = self._rest.partition(b"\r\n\r\n")
        if len(head) > MAX_ANSWER:
            raise Malformed("HTTP: no end of the answer")
        if not blank:
            return []
        status, *fields = head.decode("latin-1").split("\r\n")
        if not status.startswith("HTTP/1.1 101"):
            raise Malformed(f"HTTP: {status[:60]!r} instead of 101")
        self._rest, self.phase = rest, Phase.SERVER_KEY
        if self._accept is None:
            return self._receive_frames(now)
        self._check_agreed(fields)
        self._rest = b""
        return [FrameMessages(rest)]

    def _check_agreed(self, fields: Sequence[str]) -> None:
        """RFC 6455 §4.1: the answer is to this very request, and about DERP."""
        lines = (line.partition(":") for line in fields)
        headers = {name.lower(): value.strip() for name, _, value in lines}
        accept, protocol = (headers.get(f"sec-websocket-{w}") for w in ("accept", "protocol"))
        if accept != self._accept or protocol != websocket.SUBPROTOCOL:
            raise Malformed("WebSocket: the relay did not agree to it")

    def _receive_frames(self, now: float) -> list[Output]:
        """All whole frames in hand; runs of packets from one source come out as one batch."""
        data, at, end = self._rest, 0, len(self._rest)
        outputs: list[Output] = []
        while end - at >= HEADER_SIZE:
            kind, length = HEADER.unpack_from(data, at)
            if length > derp_framing.MAX_FRAME:
                raise Malformed(f"frame: {length} bytes")
            if at + HEADER_SIZE + length > end:
                break
            if kind == derp_framing.RECV_PACKET and self.phase is Phase.UP and length >= KEY_SIZE:
                at = self._receive_packets(data, at, HEADER_SIZE + length, outputs)
                continue
            payload = data[at + HEADER_SIZE : at + HEADER_SIZE + length]
            at += HEADER_SIZE + length
            outputs += self._receive_frame(kind, payload, now)
        self._rest = data[at:]
        return outputs

    def _receive_packets(self, data: bytes, at: int, size: int, outputs: list[Output]) -> int:
        """A run of RecvPacket frames with one and the same header, so of one source and length."""
        header = data[at : at + PACKET_HEADER_SIZE]
        packets: list[bytes] = []
        last = len(data) - size
        while at <= last and data.startswith(header, at):
            packets.append(data[at + PACKET_HEADER_SIZE : at + size])
            at += size
        source = self._source(header[HEADER_SIZE:])
        before = outputs[-1] if outputs else None
        if isinstance(before, PacketsReceived) and before.source is source:
            before.packets.extend(packets)
        else:
            outputs.append(PacketsReceived(source, packets))
        return at

    def _source(self, raw: bytes) -> NodePublic:
        source = self._sources.get(raw)
        if source is None:
            if len(self._sources) >= 1024:  # a cache, not a record: strangers may fill it
                self._sources.clear()
            source = self._sources[raw] = NodePublic(raw)
        return source

    def _receive_frame(self, kind: int, payload: bytes, now: float) -> list[Output]:
        from node.wire import derp  # late: by now the login is on its way

        frame = derp.parse_frame(kind, payload)
        match frame:
            case derp.ServerKey(key) if self.phase is Phase.SERVER_KEY:
                return [SendBytes(self._login(key, now))]
            case derp.ServerInfo(sealed) if self.phase is Phase.SERVER_INFO:
                return self._receive_server_info(sealed, now)
            case derp.Ping(data) if self.can_send:
                return self._send(derp_framing.PONG, data)
            case derp.Pong(data) if self._ping is not None and data == self._ping[0]:
                rtt = now - self._ping[1]
                self._ping = self._quiet_at = None
                self._took(rtt)
                return [RelayPong(rtt)]
            case derp.PeerGone(peer, reason):
                return [PeerGone(peer, reason)]
            case derp.PeerPresent(peer):
                return [PeerPresent(peer)]
            case derp.Health(problem):
                return [RelayHealth(problem)]
            case derp.Restarting():
                return self._down("the relay is restarting")
            case derp.KeepAlive() | derp.ServerKey():
                return []
        self.counters["unknown_frames" if frame is None else "unexpected_frames"] += 1
        return []

    def _receive_server_info(self, sealed: bytes, now: float) -> list[Output]:
        assert self.server_key is not None
        info = derp_login.ServerDetails.parse(
            derp_login.unseal(sealed, self._private, self.server_key)
        )
        if info.bytes_per_second > 0:
            self._bucket = TokenBucket(info.bytes_per_second, info.bytes_burst, now)
        self.phase, self._silent_at = Phase.UP, now + SILENCE
        self._took(now - self._login_at)
        return [RelayUp(self.server_key)]

    def _took(self, round_trip: float) -> None:
        """A longer one counts at once, shorter ones bit by bit."""
        before = self._round_trip or 0.0
        self._round_trip = max(round_trip, 0.75 * before + 0.25 * round_trip)

    def _within_rate(
        self, bucket: TokenBucket, packets: Sequence[bytes], now: float
    ) -> Sequence[bytes]:
        """What the relay's rate limit lets through; it asked us to drop the rest, not to wait."""
        allowed = [p for p in packets if bucket.take(PACKET_HEADER_SIZE + len(p), now)]
        self.counters["dropped_by_rate"] += len(packets) - len(allowed)
        return allowed
