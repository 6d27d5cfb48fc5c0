"""One peer of a device: its handshakes, sessions, timers, and the packets that wait for keys.

A handshake that is wanted always has the RETRANSMIT timer pending, until it completes or is given up;
packets wait only as long. Sending a packet starts the attempts' 90 s anew (WireGuard paper §6.4).
When both ends initiate at once, both handshakes complete: our own response is taken even if the peer's
initiation came in between, so that nobody has to wait for a retransmission.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from node.core.cookies import CookieJar
from node.core.device_outputs import (
    Deliver,
    DeliverWrites,
    HandshakeCompleted,
    HandshakeSecrets,
    Heard,
    InitiationTooOld,
    Output,
    Source,
    Transmit,
)
from node.core.inner_packets import admit, admit_writes
from node.core.keypairs import Keypairs
from node.core.lane import COUNTERS, Toll
from node.core.limits import INITIATION_INTERVAL, QUEUED_BATCHES, REKEY_AFTER_MESSAGES
from node.core.local import Local
from node.core.noise import (
    Initiated,
    Received,
    consume_response,
    create_initiation,
    create_response,
)
from node.core.peer_config import PeerConfig, PeerStatus
from node.core.rows import OVERHEAD, Rows
from node.core.session import Session
from node.core.superpacket import SuperPacket
from node.core.timers import Timer, Timers
from node.wire.wireguard import (
    INITIATION_SIZE,
    KEEPALIVE_SIZE,
    RESPONSE_SIZE,
    CookieReply,
    Response,
)

MOST_ROWS = 65536  # a super-packet cannot have more segments than bytes


class Peer:
    def __init__(self, config: PeerConfig, local: Local) -> None:
        self.key = config.key
        self.config = config
        self._local = local
        self._limits = local.limits
        self._counters = local.counters
        self.keypairs = Keypairs()
        self._timers = Timers(local.limits, local.random)
        self._jar = CookieJar(config.key, local.limits)
        self._initiated: Initiated | None = None
        self._queue: deque[list[bytes]] = deque()
        self._initiate_not_before = float("-inf")
        self._give_up_at = float("-inf")
        self._last_timestamp = b""
        self._last_initiation = float("-inf")
        self._last_handshake: float | None = None
        self._rx_bytes = 0
        self._tx_bytes = 0

    @property
    def deadline(self) -> float | None:
        return self._timers.deadline

    def status(self) -> PeerStatus:
        return PeerStatus(
            self.key,
            self._last_handshake,
            self._rx_bytes,
            self._tx_bytes,
            self.keypairs.current is not None,
        )

    def configure(self, config: PeerConfig, now: float) -> list[Output]:
        """Another preshared key counts from the next handshake on."""
        self.config = config
        self._timers.keep_alive_persistently(config.persistent_keepalive, now)
        if config.persistent_keepalive and self._usable(1, now) is None:
            return self._want_handshake(now)
        return []

    def close(self) -> None:
        """Forget all keys; nothing is accepted from this peer any more."""
        self._queue.clear()
        self._wipe()

    # --- sending

    def send(self, packets: list[bytes], now: float) -> list[Output]:
        session = self._usable(len(packets), now)
        if session is None:
            self._enqueue(packets)
            return self._want_handshake(now)
        sent: list[Output] = [self._seal(session, packets, now)]
        return sent + self._renew_on_send(session, now)

    def seal_batch(
        self, packets: Sequence[SuperPacket], now: float
    ) -> tuple[Session, Sequence[Rows]] | None:
        """A run of super-packets or of ordinary ones; None without a session. What comes back must be
        sent, and then be told to `sent_batch`. Raises Malformed for what cannot be cut."""
        session = self._usable(MOST_ROWS * len(packets), now)
        if session is None:
            return None
        segments, key, counter = self._local.segments, session.send_key, session.send_counter
        if len(packets) == 1:
            rows = segments.seal_superpacket(key, session.remote_index, counter, packets[0])
        elif packets[0].is_ordinary:
            rows = segments.seal_packets(key, session.remote_index, counter, packets)
        else:
            rows = segments.seal_superpackets(key, session.remote_index, counter, packets)
        for each in rows:
            session.reserve(each.count)
            self._tx_bytes += each.stop - each.start
        return session, rows

    def sent_batch(self, session: Session, now: float) -> list[Output]:
        self._timers.authenticated_sent(now)
        self._timers.data_sent(now)
        return self._renew_on_send(session, now)

    def sessions_until(
        self, heard: Session | None, now: float
    ) -> tuple[Session, Session, float] | None:
        """The session to send on, the one that was `heard` last, and until when nobody has to do anything
        about either. They differ when both ends have initiated at once."""
        session = self._usable(COUNTERS, now)
        if session is None:
            return None
        limits = self._limits
        until = session.created + limits.reject_after_time
        if session.is_initiator:
            until = min(until, session.created + limits.rekey_after_time)
        if heard is None or heard not in (session, *self.keypairs.previous):
            return session, session, until
        return session, heard, min(until, heard.created + limits.reject_after_time)

    def passed(self, toll: Toll) -> None:
        """What its packets did by themselves, on a session that nothing was to be done about."""
        self._tx_bytes += toll.sent.size
        self._rx_bytes += toll.received.size
        for when, is_sent in toll.moments():
            if is_sent:
                self._timers.authenticated_sent(when)
                self._timers.data_sent(when)
            else:
                self._timers.authenticated_received(when)
                self._timers.data_received(when)

    def initiate(self, now: float, renew: bool) -> list[Output]:
        if not renew and self._usable(1, now) is not None:
            return []
        return self._want_handshake(now)

    def _usable(self, count: int, now: float) -> Session | None:
        """The session to send on: young enough, and with that many counters left."""
        session = self.keypairs.current
        if session is None or now - session.created >= self._limits.reject_after_time:
            return None
        return session if session.has_room(count) else None

    def _enqueue(self, packets: list[bytes]) -> None:
        self._queue.append(packets)
        if len(self._queue) > QUEUED_BATCHES:
            self._counters["queue_full"] += len(self._queue.popleft())

    def _seal(self, session: Session, packets: Sequence[bytes], now: float) -> Transmit:
        datagrams = session.seal(packets, self._local.mtu)
        self._tx_bytes += sum(map(len, datagrams))
        self._timers.authenticated_sent(now)
        self._timers.data_sent(now)
        return Transmit(self.key, datagrams, True)

    def _keepalive(self, session: Session, now: float) -> Transmit:
        datagrams = session.seal([b""], self._local.mtu)
        self._tx_bytes += KEEPALIVE_SIZE
        self._timers.authenticated_sent(now)
        return Transmit(self.key, datagrams, False)

    def _flush(self, session: Session, now: float) -> list[Output]:
        """The packets that waited for this session."""
        packets = [packet for batch in self._queue for packet in batch]
        self._queue.clear()
        return [self._seal(session, packets, now)] if packets else []

    def _renew_on_send(self, session: Session, now: float) -> list[Output]:
        old = session.is_initiator and now - session.created >= self._limits.rekey_after_time
        if old or session.send_counter > REKEY_AFTER_MESSAGES:
            return self._want_handshake(now)
        return []

    # --- handshakes

    def _want_handshake(self, now: float) -> list[Output]:
        self._give_up_at = now + self._limits.rekey_attempt_time
        return [] if self._timers.pending(Timer.RETRANSMIT) else self._send_initiation(now)

    def _send_initiation(self, now: float) -> list[Output]:
        if now < self._initiate_not_before:
            self._timers.handshake_wanted(self._initiate_not_before)
            return []
        self._drop_initiation()
        index = self._local.indices.allocate((self, None))
        ephemeral = self._local.ephemeral()
        created = create_initiation(
            self._local.private,
            self.key,
            ephemeral=ephemeral,
            index=index,
            timestamp=self._local.timestamp(now),
        )
        self._handshake_sent(now)
        self._timers.handshake_wanted(self._initiate_not_before)
        if created is None:  # the peer's public key is one of the degenerate ones
            self._local.indices.release(index)
            self._counters["degenerate_key"] += 1
            return []
        self._initiated, message = created
        initiation = self._handshake(message.pack(), now)
        return [*self._secrets(ephemeral, initiation), initiation]

    def _secrets(self, ephemeral: bytes, sent: Transmit) -> list[Output]:
        if not self._local.log_keys:
            return []
        static, preshared = self._local.private.raw, self.config.preshared_key
        [message] = sent.datagrams
        return [HandshakeSecrets(self.key, static, ephemeral, preshared, message)]

    def _handshake(self, message: bytes, now: float) -> Transmit:
        signed = self._jar.sign(message, now)
        self._tx_bytes += len(signed)
        return Transmit(self.key, [signed], False)

    def _handshake_sent(self, now: float) -> None:
        self._initiate_not_before = now + self._limits.rekey_timeout
        self._timers.authenticated_sent(now)

    def receive_initiation(self, received: Received, source: Source, now: float) -> list[Output]:
        if received.timestamp <= self._last_timestamp:
            self._counters["replayed_initiation"] += 1
            is_older = received.timestamp < self._last_timestamp  # the same again is but a copy
            return [InitiationTooOld(self.key)] if is_older else []
        if now - self._last_initiation < INITIATION_INTERVAL:
            self._counters["initiation_flood"] += 1
            return []
        index = self._local.indices.allocate((self, None))
        ephemeral = self._local.ephemeral()
        created = create_response(
            received,
            preshared_key=self.config.preshared_key,
            ephemeral=ephemeral,
            index=index,
        )
        if created is None:
            self._local.indices.release(index)
            self._counters["degenerate_key"] += 1
            return []
        self._last_timestamp, self._last_initiation = received.timestamp, now
        keys, message = created
        session = Session(
            keys, local_index=index, remote_index=received.sender, is_initiator=False, now=now
        )
        self._local.indices.replace(index, (self, session))
        self._local.forget(self.keypairs.responded(session))
        self._rx_bytes += INITIATION_SIZE
        self._timers.session_derived(now)
        self._timers.authenticated_received(now)
        self._handshake_sent(now)
        answer = self._handshake(message.pack(), now)
        return [*self._secrets(ephemeral, answer), Heard(self.key, source), answer]

    def receive_response(self, message: Response, source: Source, now: float) -> list[Output]:
        initiated = self._initiated
        if initiated is None or initiated.index != message.receiver:
            self._counters["unknown_index"] += 1
            return []
        keys = consume_response(
            self._local.private, initiated, message, preshared_key=self.config.preshared_key
        )
        if keys is None:
            self._counters["bad_response"] += 1
            return []
        self._initiated = None
        session = Session(
            keys,
            local_index=initiated.index,
            remote_index=message.sender,
            is_initiator=True,
            now=now,
        )
        self._local.indices.replace(initiated.index, (self, session))
        self._local.forget(self.keypairs.initiated(session))
        self._rx_bytes += RESPONSE_SIZE
        self._timers.session_derived(now)
        self._timers.authenticated_received(now)
        completed = self._completed(session, source, now)
        # The responder may not send before it has heard us on the new keys.
        return completed + (self._flush(session, now) or [self._keepalive(session, now)])

    def _completed(self, session: Session, source: Source, now: float) -> list[Output]:
        self._timers.handshake_ended()
        self._last_handshake = now
        return [Heard(self.key, source), HandshakeCompleted(self.key, session.is_initiator)]

    def receive_cookie(self, reply: CookieReply, now: float) -> None:
        """It is for our next handshake message; nothing is sent at once (WireGuard paper §6.6)."""
        self._counters["cookie" if self._jar.consume(reply, now) else "bad_cookie"] += 1

    # --- receiving

    def receive_transport(
        self, session: Session, datagrams: Sequence[bytes], source: Source, now: float
    ) -> list[Output]:
        if now - session.created >= self._limits.reject_after_time:
            self._counters["expired_session"] += len(datagrams)
            return []
        opened = session.open(datagrams)
        if opened.forged or opened.replayed:
            self._counters.update(forged=opened.forged, replayed=opened.replayed)
        if not opened.plaintexts:
            return []
        self._rx_bytes += sum(map(len, opened.plaintexts)) + KEEPALIVE_SIZE * len(opened.plaintexts)
        outputs = self._authenticated(session, any(opened.plaintexts), source, now)
        packets = admit(opened.plaintexts, self, self._local.allowed_ips, self._counters)
        if packets:
            outputs.append(Deliver(self.key, packets, source))
        return outputs + self._renew_on_receive(now)

    def receive_rows(
        self, session: Session, rows: Rows, source: Source, now: float
    ) -> Iterator[Output]:
        """The same for a batch in one buffer."""
        count = rows.count
        if now - session.created >= self._limits.reject_after_time:
            self._counters["expired_session"] += count
            return
        segments = self._local.segments
        opened = segments.open(session.receive_key, rows)
        refused = session.window.refused(opened.counters, opened.failed)
        if refused:
            forged = len(opened.failed)
            self._counters.update(forged=forged, replayed=len(refused) - forged)
            if len(refused) == count:
                return
        self._rx_bytes += rows.stop - rows.start - len(refused) * rows.size
        writes = segments.coalesce(opened, refused)
        admitted = admit_writes(
            writes, self._local.features, self, self._local.allowed_ips, self._counters
        )
        delivery: list[Output] = [DeliverWrites(self.key, admitted)] if admitted else []
        if session is not self.keypairs.next:  # else the handshake is news that comes first
            yield from delivery
            delivery = []
        yield from self._authenticated(session, rows.size > OVERHEAD, source, now)
        yield from delivery
        yield from self._renew_on_receive(now)

    def _authenticated(
        self, session: Session, is_data: bool, source: Source, now: float
    ) -> list[Output]:
        """Something of the peer's, seen for the first time."""
        self._timers.authenticated_received(now)
        if is_data:
            self._timers.data_received(now)
        if session is not self.keypairs.next:
            return [Heard(self.key, source)]
        self._local.forget(self.keypairs.confirmed())
        return self._completed(session, source, now) + self._flush(session, now)

    def _renew_on_receive(self, now: float) -> list[Output]:
        session = self.keypairs.current
        if session is None or not session.is_initiator:
            return []
        if now - session.created < self._limits.rekey_on_receive_after:
            return []
        return self._want_handshake(now)

    # --- time

    def tick(self, now: float) -> list[Output]:
        return [o for timer in self._timers.expired(now) for o in self._expire(timer, now)]

    def _expire(self, timer: Timer, now: float) -> list[Output]:
        match timer:
            case Timer.RETRANSMIT if now < self._give_up_at:
                return self._send_initiation(now)
            case Timer.RETRANSMIT:
                self._give_up()
                return []
            case Timer.KEEPALIVE:
                session = self._usable(1, now)
                return [] if session is None else [self._keepalive(session, now)]
            case Timer.NEW_HANDSHAKE:
                return self._want_handshake(now)
            case Timer.WIPE:
                self._wipe()
                return []
            case Timer.PERSISTENT:
                session = self._usable(1, now)
                if session is not None:
                    return [self._keepalive(session, now)]
                return self._want_handshake(now)

    def _give_up(self) -> None:
        self._counters["handshake_given_up"] += 1
        self._counters["queue_given_up"] += sum(map(len, self._queue))
        self._queue.clear()
        self._drop_initiation()

    def _wipe(self) -> None:
        """Forget all keys. Python can only drop its references; the bytes are freed, not overwritten."""
        self._drop_initiation()
        self._local.forget(self.keypairs.wiped())

    def _drop_initiation(self) -> None:
        if self._initiated is not None:
            self._local.indices.release(self._initiated.index)
            self._initiated = None
