"""Datagrams for a peer, on their way: directly, by a relay, or both, as its paths say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from node.core.actions import Action, RelayPath, SendRows, SendUdp
from node.core.by_relay import ByRelay
from node.core.device_outputs import Source
from node.core.disco_talk import DiscoTalk
from node.core.mesh_peer import MeshPeer
from node.core.path_outputs import Direct, Route, way_of
from node.core.path_traffic import PathTraffic
from node.core.rows import Rows
from node.core.ways import PeerRelayed, Way, first_hop, wrapped
from node.wire.endpoint import Endpoint
from node.wire.geneve import WIREGUARD
from node.wire.wireguard import INITIATION


class Courier:
    def __init__(self, talk: DiscoTalk, by_relay: ByRelay) -> None:
        self._talk, self._by_relay = talk, by_relay
        self.traffic = PathTraffic()

    def send_used(self, peer: MeshPeer, datagrams: Sequence[bytes], now: float) -> list[Action]:
        """Because of an application's packets: the path is in use, a better one is looked for."""
        if peer.is_plain:
            return self._send(peer, datagrams, _plain_route(peer), now)
        route, outputs = peer.paths.data_sent(now)
        actions = self._send(peer, datagrams, route, now)
        return actions + self._talk.perform(peer, outputs, now) if outputs else actions

    def send_rows(self, peer: MeshPeer, rows: Sequence[Rows], now: float) -> Iterator[Action]:
        """The same for batches, which stay whole as long as the path is a plain one."""
        to = straight(peer, now)
        if to is not None:
            yield SendRows(rows, to)
            self.traffic.sent_rows(to, rows)
        if peer.is_plain:
            return
        route, outputs = peer.paths.data_sent(now)
        if to is None:
            datagrams = [datagram for each in rows for datagram in each.copies()]
            yield from self._send(peer, datagrams, route, now)
        if outputs:
            yield from self._talk.perform(peer, outputs, now)

    def send_quietly(
        self, peer: MeshPeer, datagrams: Sequence[bytes], source: Source | None, now: float
    ) -> list[Action]:
        """Handshakes and keepalives: where data would go, and back to where the question came from."""
        route = _plain_route(peer) if peer.is_plain else _route(peer, now)
        actions = self._send(peer, datagrams, route, now)
        if isinstance(source, Endpoint | PeerRelayed) and source != route.direct:
            actions.append(_by_udp(datagrams, source))
        return actions

    def reply(self, to: Source, datagrams: Sequence[bytes], now: float) -> list[Action]:
        """To whoever that was: no peer is known yet."""
        if isinstance(to, RelayPath):
            return self._by_relay.send_by(to.region, to.peer, datagrams, now)
        return [_by_udp(datagrams, to)] if isinstance(to, Endpoint | PeerRelayed) else []

    def _send(
        self, peer: MeshPeer, datagrams: Sequence[bytes], route: Route, now: float
    ) -> list[Action]:
        actions: list[Action] = []
        if datagrams[0][0] == INITIATION:
            peer.unanswered += 1
        if route.direct is not None:
            self.traffic.sent(route.direct, datagrams)
            actions.append(_by_udp(datagrams, route.direct))
        if route.relay:
            self.traffic.sent(None, datagrams)
            actions += self._by_relay.send(peer, datagrams, now)
            if route.direct is None:
                actions += self._talk.tell_relayed(peer, peer.paths.why, now)
        return actions


def straight(peer: MeshPeer, now: float) -> Endpoint | None:
    """Where data goes if it goes nowhere else, and as it is."""
    if peer.is_plain:
        return peer.plain_endpoint
    path = peer.paths.path
    return path.endpoint if isinstance(path, Direct) and peer.paths.trusted(now) else None


def _route(peer: MeshPeer, now: float) -> Route:
    """Where data would go, asked without using the path."""
    way = way_of(peer.paths.path)
    return Route(way, relay=way is None or not peer.paths.trusted(now))


def _by_udp(datagrams: Sequence[bytes], way: Way) -> SendUdp:
    return SendUdp(wrapped(datagrams, way, WIREGUARD), first_hop(way))


def _plain_route(peer: MeshPeer) -> Route:
    return Route(peer.plain_endpoint, relay=False)
