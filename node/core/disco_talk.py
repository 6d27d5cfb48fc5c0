"""disco with all peers: what the paths want said goes out sealed, what comes in goes to the paths.

A ping goes over UDP, to prove that very endpoint; or through a relay, only because a person asked.
A call-me-maybe goes through the relay alone. The sender's disco key says which peer it is, and over
a relay the node key that the relay vouches for has to agree.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network

from node.core.actions import Action, Event, SendUdp
from node.core.asks import Asks
from node.core.by_relay import ByRelay
from node.core.disco import DiscoBox
from node.core.mesh_peer import MeshPeer
from node.core.own_endpoints import is_overlay
from node.core.path_outputs import (
    Output,
    PathChanged,
    Relayed,
    SendCallMeMaybe,
    SendPing,
    SendPong,
    kind_of,
)
from node.core.port_prediction import moves
from node.core.surroundings import News, Surroundings
from node.core.ways import Way, first_hop, wrapped
from node.keys import DiscoPrivate, DiscoPublic, NodePublic
from node.wire.disco import (
    NONCE_SIZE,
    TXID_SIZE,
    AllocateRequest,
    AllocateResponse,
    CallMeMaybe,
    CallMeMaybeVia,
    Message,
    Ping,
    Pong,
)
from node.wire.endpoint import Endpoint
from node.wire.geneve import DISCO
from node.wire.malformed import Malformed

AboutPeerRelays = Callable[
    [MeshPeer, AllocateRequest | AllocateResponse | CallMeMaybeVia, float], list[Action]
]

BY_RELAY = "127.3.3.40"  # the address that stands for "by a relay"; the port is the region


class DiscoTalk:
    def __init__(
        self,
        public: NodePublic,
        private: DiscoPrivate,
        random: Callable[[int], bytes],
        surroundings: Surroundings,
        by_relay: ByRelay,
    ) -> None:
        self.box = DiscoBox(private)
        self.asks = Asks()
        self.counters: Counter[str] = Counter()
        self.networks: list[IPv4Network | IPv6Network] = []  # what lies behind the tunnel
        self.about_peer_relays: AboutPeerRelays = lambda *_: []
        self._public, self._random = public, random
        self._surroundings, self._by_relay = surroundings, by_relay

    # --- out ---

    def perform(self, peer: MeshPeer, outputs: Sequence[Output], now: float) -> list[Action]:
        actions: list[Action] = []
        for output in outputs:
            match output:
                case SendPing(to, txid, size):
                    ping = Ping.of_size(txid, self._public, size)
                    actions += self._by_udp(peer, ping, to)
                    actions.append(_verbose("ping", peer, to))
                case SendPong(to, txid):
                    actions += self._by_udp(peer, Pong(txid, first_hop(to)), to)
                case SendCallMeMaybe():
                    actions += self.call(peer, now)
                case PathChanged(path, why, rtt):
                    if not isinstance(path, Relayed):
                        actions += _told(peer, kind_of(path), str(path), why, rtt)
                    else:
                        self._surroundings.doubt(now)
                        actions += self.tell_relayed(peer, why, now)
        return actions

    def call(self, peer: MeshPeer, now: float) -> list[Action]:
        """A call-me-maybe, even without endpoints: the peer's own pings may open the way."""
        if peer.disco is None:
            return []
        guessing = not moves(peer.paths.candidates.called)
        message = CallMeMaybe(tuple(self._surroundings.called_at(now, guessing)))
        event = Event("call_me_maybe", {"peer": peer.name, "direction": "sent"})
        return [*self.say(peer, message, now), event]

    def tell_relayed(self, peer: MeshPeer, why: str, now: float) -> list[Action]:
        return _told(peer, "relay", self._by_relay.via(peer, now), why)

    def tell_plain(self, peer: MeshPeer) -> list[Action]:
        """Plain WireGuard follows its peer: authenticated data is all the proof there is."""
        return _told(peer, "direct", str(peer.plain_endpoint), "WireGuard was heard from there")

    def ask(self, ask: int, peer: MeshPeer, now: float) -> list[Action]:
        """A person's ping: the direct path alone if it is trusted, else every way at once."""
        pings = peer.paths.ping_now(now)
        if peer.disco is None:
            return self.perform(peer, pings, now)
        actions: list[Action] = []
        if not peer.paths.trusted(now):
            for region in self._by_relay.regions(peer, now):
                txid = self._random(TXID_SIZE)
                self.asks.sent(ask, txid, region, now)
                packet = self._seal(peer.disco, Ping(txid, self._public))
                actions += self._by_relay.send_by(region, peer.key, [packet], now)
        for output in pings:
            if isinstance(output, SendPing):
                self.asks.sent(ask, output.txid, output.to, now)
        return actions + self.perform(peer, pings, now)

    def _by_udp(self, peer: MeshPeer, message: Message, to: Way) -> list[Action]:
        if peer.disco is None:
            return []
        sealed = self._seal(peer.disco, message)
        return [SendUdp(wrapped([sealed], to, DISCO), first_hop(to))]

    def say(self, peer: MeshPeer, message: Message, now: float) -> list[Action]:
        """By way of DERP."""
        if peer.disco is None:
            return []
        return self._by_relay.send(peer, [self._seal(peer.disco, message)], now)

    def _seal(self, to: DiscoPublic, message: Message) -> bytes:
        return self.box.seal(message, to, self._random(NONCE_SIZE))

    # --- in ---

    def receive_udp(
        self, peer: MeshPeer, packet: bytes, source: Way, now: float
    ) -> list[Action | News]:
        message = self._open(packet)
        match message:
            case Ping(txid, node_key):
                overlay = is_overlay(first_hop(source).address, self.networks)
                if node_key not in (None, peer.key) or overlay:
                    self.counters["disco_refused"] += 1
                    return []
                answers = self.perform(peer, peer.paths.receive_ping(txid, source, now), now)
                return [*answers, _verbose("ping_received", peer, source)]
            case Pong(txid, seen_at):
                seen = seen_at if isinstance(source, Endpoint) else None
                return self._receive_pong(peer, txid, seen, now)
            case None:
                return []
        self.counters["disco_refused"] += 1  # all else comes by a relay or not at all
        return []

    def receive_relay(
        self, peer: MeshPeer, packet: bytes, region: int, now: float
    ) -> list[Action] | None:
        """None: the box does not open, so the peer holds an old key of ours."""
        message = self._open(packet)
        match message:
            case Ping(txid) if peer.disco is not None:
                pong = Pong(txid, Endpoint(BY_RELAY, region))
                sealed = self._seal(peer.disco, pong)
                return self._by_relay.send_by(region, peer.key, [sealed], now)
            case Pong(txid, _):
                answered = self.asks.receive_pong(txid, peer.key, now)
                return [answered] if answered else []
            case CallMeMaybe(endpoints):
                return self._receive_call(peer, endpoints, now)
            case AllocateRequest() | AllocateResponse() | CallMeMaybeVia():
                return self.about_peer_relays(peer, message, now)
            case None:
                return None
        self.counters["disco_not_handled"] += 1
        return []

    def _receive_pong(
        self, peer: MeshPeer, txid: bytes, seen_at: Endpoint | None, now: float
    ) -> list[Action | News]:
        answered = self.asks.receive_pong(txid, peer.key, now)
        strangers = peer.paths.counters["disco_pong_unasked"]
        outputs: list[Action | News] = []
        outputs += self.perform(peer, peer.paths.receive_pong(txid, now), now)
        if seen_at is not None and peer.paths.counters["disco_pong_unasked"] == strangers:
            outputs += self._surroundings.seen_at(seen_at, now)
        return [*outputs, answered] if answered else outputs

    def _receive_call(
        self, peer: MeshPeer, endpoints: Sequence[Endpoint], now: float
    ) -> list[Action]:
        event = Event("call_me_maybe", {"peer": peer.name, "direction": "received"})
        outputs = peer.paths.receive_call_me_maybe(self.usable(endpoints), now)
        return [event, *self.perform(peer, outputs, now)]

    def own_endpoints(self, now: float) -> list[Endpoint]:
        return self._surroundings.endpoints(now)

    def usable(self, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
        """Not through the tunnel itself, and not ourselves: two homes may have the same subnet."""
        return [
            each
            for each in endpoints
            if not is_overlay(each.address, self.networks) and each not in self._surroundings.local
        ]

    def _open(self, packet: bytes) -> Message | None:
        try:
            return self.box.open(packet)[1]
        except Malformed:
            self.counters["disco_malformed"] += 1
            return None


def _told(peer: MeshPeer, kind: str, via: str, why: str, rtt: float | None = None) -> list[Action]:
    """The event of a path, unless that is what was told last."""
    if peer.shown == (kind, via):
        return []
    peer.shown = (kind, via)
    rtt_ms = None if rtt is None else round(1000 * rtt, 3)
    fields = {"peer": peer.name, "kind": kind, "via": via, "rtt_ms": rtt_ms, "why": why}
    return [Event("path", fields)]


def told_gone(peer: MeshPeer) -> Event:
    fields = {"peer": peer.name, "kind": "none", "via": "", "rtt_ms": None, "why": "not in netmap"}
    return Event("path", fields)


def _verbose(name: str, peer: MeshPeer, endpoint: Way) -> Event:
    return Event(name, {"peer": peer.name, "endpoint": str(endpoint)}, verbose=True)
