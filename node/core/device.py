"""A WireGuard device: all peers behind one private key. Packets in, datagrams out, and back.

See "WireGuard: Next Generation Kernel Network Tunnel" (the WireGuard paper). Everything comes in batches
and goes out in batches: packets to one destination, and datagrams to one session, are looked up once a
run. Nothing received raises; what is refused is counted by its reason in `counters`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

from node.core.allowed_ips import AllowedIps
from node.core.checksum import Buffer
from node.core.coalesce import source_of
from node.core.device_outputs import (
    Deliver,
    DeliverWrites,
    HandshakeCompleted,
    HandshakeSecrets,
    Heard,
    InitiationTooOld,
    Output,
    Reply,
    Source,
    Transmit,
    TransmitRows,
)
from node.core.door import Door
from node.core.lane import Toll
from node.core.limits import Limits
from node.core.local import Local
from node.core.noise import read_static, read_timestamp
from node.core.peer import Peer
from node.core.peer_config import PeerConfig, PeerStatus
from node.core.rows import Rows
from node.core.segments import Segments
from node.core.session import Session
from node.core.superpacket import SuperPacket, split
from node.core.tun_features import TunFeatures
from node.keys import NodePrivate, NodePublic
from node.wire import ip
from node.wire.malformed import Malformed
from node.wire.virtio import VIRTIO_SIZE
from node.wire.wireguard import TRANSPORT, CookieReply, Initiation, Response, parse

__all__ = [
    "Deliver",
    "DeliverWrites",
    "Device",
    "HandshakeCompleted",
    "HandshakeSecrets",
    "Heard",
    "InitiationTooOld",
    "Output",
    "PeerConfig",
    "PeerStatus",
    "Reply",
    "Source",
    "Transmit",
    "TransmitRows",
]

_TRANSPORT_TYPE = TRANSPORT.to_bytes(4, "little")


class Device:
    def __init__(
        self,
        private: NodePrivate,
        *,
        random: Callable[[int], bytes],
        epoch: float,
        mtu: int = 1280,
        limits: Limits | None = None,
        log_keys: bool = False,
    ) -> None:
        """`epoch` is Unix time minus the clock that `now` comes from."""
        limits = limits or Limits()
        self._local = Local(
            private, random=random, epoch=epoch, mtu=mtu, limits=limits, log_keys=log_keys
        )
        self.public = self._local.public
        self.counters: Counter[str] = self._local.counters
        self._peers: dict[NodePublic, Peer] = {}
        self._door = Door(self.public, random=random, limits=limits, counters=self.counters)

    @property
    def deadline(self) -> float | None:
        deadlines = (peer.deadline for peer in self._peers.values())
        return min((due for due in deadlines if due is not None), default=None)

    def set_peers(self, peers: Iterable[PeerConfig], now: float) -> list[Output]:
        """These and no others. The sessions of those that stay are kept."""
        configs = {config.key: config for config in peers if config.key != self.public}
        for key in self._peers.keys() - configs.keys():
            self._peers.pop(key).close()
        outputs: list[Output] = []
        for key, config in configs.items():
            if key not in self._peers:
                self._peers[key] = Peer(config, self._local)
                outputs += self._peers[key].configure(config, now)
            elif config != self._peers[key].config:
                outputs += self._peers[key].configure(config, now)
        self._local.allowed_ips = AllowedIps(
            (prefix, peer) for peer in self._peers.values() for prefix in peer.config.allowed_ips
        )
        return outputs

    def send(self, packets: Sequence[bytes], now: float) -> list[Output]:
        """IP packets, each to the peer whose allowed IPs hold its destination."""
        outputs: list[Output] = []
        for peer, batch in self._by_peer(packets).items():
            if peer is None:
                self.counters["no_peer_for_destination"] += len(batch)
            else:
                outputs += peer.send(batch, now)
        return outputs

    def use(self, segments: Segments, features: TunFeatures) -> None:
        """For batches from now on, with a TUN interface that can do this."""
        self._local.segments, self._local.features = segments, features

    @property
    def segments(self) -> Segments:
        return self._local.segments

    @property
    def virtio_size(self) -> int:
        """How many bytes stand before the packet in a write."""
        return VIRTIO_SIZE if self._local.features.virtio else 0

    def source_of(self, write: Buffer) -> bytes:
        """The inner address that a write to the TUN interface comes from."""
        return source_of(write, self._local.features)

    def send_batch(self, packets: Sequence[SuperPacket], now: float) -> Iterator[Output]:
        """As `send`, for reads of the TUN interface that all have one destination. What goes out
        comes first, and may leave while the rest of the work is done. To be taken to its end."""
        destination = packets[0].destination
        if not destination:
            self.counters["bad_packet"] += len(packets)
            return
        peer = self._local.allowed_ips.lookup(destination)
        if peer is None:
            self.counters["no_peer_for_destination"] += len(packets)
            return
        try:
            sealed = peer.seal_batch(packets, now)
        except Malformed:
            sealed = None
        if sealed is None:
            yield from self.send(self._whole(packets), now)
            return
        session, rows = sealed
        yield TransmitRows(peer.key, rows)
        yield from peer.sent_batch(session, now)

    def _whole(self, packets: Sequence[SuperPacket]) -> list[bytes]:
        """Those that can be cut or finished, so that one bad read costs no other."""
        whole: list[bytes] = []
        for packet in packets:
            try:
                whole += split(packet)
            except Malformed:
                self.counters["bad_packet"] += 1
        return whole

    def _by_peer(self, packets: Sequence[bytes]) -> dict[Peer | None, list[bytes]]:
        lookup = self._local.allowed_ips.lookup
        batches: dict[Peer | None, list[bytes]] = {}
        batch: list[bytes] = []
        last: bytes | None = None
        for packet in packets:
            try:
                address = ip.destination(packet)
            except Malformed:
                self.counters["bad_packet"] += 1
                continue
            if address != last:
                last = address
                batch = batches.setdefault(lookup(address), [])
            batch.append(packet)
        return batches

    def initiate(self, peer: NodePublic, now: float, *, renew: bool = False) -> list[Output]:
        """Start a handshake, unless keys are there; with `renew`, even then. Never twice in 5 s."""
        known = self._peers.get(peer)
        return [] if known is None else known.initiate(now, renew)

    def receive(self, datagrams: Sequence[bytes], source: Source, now: float) -> list[Output]:
        outputs: list[Output] = []
        for head, run in groupby(datagrams, key=_head):
            if head[:4] == _TRANSPORT_TYPE:
                outputs += self._receive_transport(head, list(run), source, now)
            else:
                for datagram in run:
                    outputs += self._receive_handshake(datagram, source, now)
        return _heard_once(outputs)

    def _receive_transport(
        self, head: bytes, datagrams: list[bytes], source: Source, now: float
    ) -> list[Output]:
        entry = self._local.indices.lookup(int.from_bytes(head[4:], "little"))
        peer, session = entry or (None, None)
        if peer is None or session is None:
            self.counters["unknown_index"] += len(datagrams)
            return []
        return peer.receive_transport(session, datagrams, source, now)

    def receive_rows(self, index: int, rows: Rows, source: Source, now: float) -> Iterator[Output]:
        """As `receive`, for transport data to one of our indices, opened in place; and as `send_batch`."""
        peer, session = self._local.indices.lookup(index) or (None, None)
        if peer is None or session is None:
            self.counters["unknown_index"] += rows.count
            return iter(())
        return peer.receive_rows(session, rows, source, now)

    def _receive_handshake(self, datagram: bytes, source: Source, now: float) -> list[Output]:
        try:
            message = parse(datagram)
        except Malformed:
            self.counters["malformed"] += 1
            return []
        if isinstance(message, Initiation | Response):
            admitted = self._door.admit(datagram, source, now)
            if isinstance(admitted, Reply):
                return [admitted]
            if not admitted:
                return []
        if isinstance(message, Initiation):
            return self._receive_initiation(message, source, now)
        entry = self._local.indices.lookup(message.receiver)
        if entry is None:
            self.counters["unknown_index"] += 1
            return []
        peer, _ = entry
        match message:
            case Response():
                return peer.receive_response(message, source, now)
            case CookieReply():
                peer.receive_cookie(message, now)
        return []

    def _receive_initiation(self, message: Initiation, source: Source, now: float) -> list[Output]:
        claimed = read_static(self._local.private, self.public, message)
        if claimed is None:
            self.counters["bad_initiation"] += 1
            return []
        peer = self._peers.get(claimed.initiator)
        if peer is None:
            self.counters["unknown_peer"] += 1
            return []
        received = read_timestamp(self._local.private, claimed)
        if received is None:
            self.counters["bad_initiation"] += 1
            return []
        return peer.receive_initiation(received, source, now)

    def tick(self, now: float) -> list[Output]:
        outputs: list[Output] = []
        for peer in self._peers.values():
            due = peer.deadline
            if due is not None and due <= now:
                outputs += peer.tick(now)
        return outputs

    def session(self, peer: NodePublic) -> Session | None:
        """What is sent to this peer now goes out on this session."""
        known = self._peers.get(peer)
        return None if known is None else known.keypairs.current

    def sessions_until(
        self, key: NodePublic, index: int | None, now: float
    ) -> tuple[Session, Session, float] | None:
        """See `Peer.sessions_until`; the one that was heard last has that index."""
        peer = self._peers.get(key)
        if peer is None:
            return None
        entry = None if index is None else self._local.indices.lookup(index)
        heard = entry[1] if entry is not None and entry[0] is peer else None
        return peer.sessions_until(heard, now)

    def passed(self, peer: NodePublic, toll: Toll) -> None:
        """By lanes, without us."""
        known = self._peers.get(peer)
        if known is not None:
            known.passed(toll)

    @property
    def indices_in_use(self) -> int:
        """Sessions and open handshakes of all peers."""
        return len(self._local.indices)

    def peer_status(self, peer: NodePublic) -> PeerStatus:
        return self._peers[peer].status()


def _head(datagram: bytes) -> bytes:
    """Type and receiver index: equal for all transport messages to one session."""
    return datagram[:8]


def _heard_once(outputs: list[Output]) -> list[Output]:
    heard: set[NodePublic] = set()
    once: list[Output] = []
    for output in outputs:
        if isinstance(output, Heard):
            if output.peer in heard:
                continue
            heard.add(output.peer)
        once.append(output)
    return once
