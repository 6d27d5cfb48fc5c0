"""The node's rules, all joined: WireGuard for privacy, relays for the start, disco for the way.

    TUN --packets--> Device --datagrams--> Paths says where: directly, by the relay, or both
    UDP  --------+
    relay -------+-> disco: to the peer's Paths, which look for a direct way meanwhile
                 +-> STUN: to the surroundings
                 +-> WireGuard: Device --packets--> TUN

The first packet to a peer starts a handshake by way of the relay. In the new tunnel both ends tell
their disco keys (TSMP), and from then on they look for a direct path while data flows over the relay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, groupby

from node.core.actions import Action, Event, LogKeys, RelayPath
from node.core.activity import Activity
from node.core.by_relay import ByRelay
from node.core.courier import Courier
from node.core.device import (
    Deliver,
    DeliverWrites,
    Device,
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
from node.core.disco_talk import DiscoTalk, told_gone
from node.core.introductions import Introductions
from node.core.lanes import Lanes
from node.core.limits import Limits
from node.core.mesh_peer import MeshPeer
from node.core.peer_relays import Inner, PeerRelays
from node.core.relay_news import RelayNews
from node.core.relays import Relays
from node.core.roster import Roster
from node.core.rows import Rows
from node.core.status import MeshStatus, status_of
from node.core.superpacket import SuperPacket
from node.core.surroundings import EndpointsChanged, News, RegionsRanked, Surroundings
from node.core.ways import PeerRelayed, Way
from node.keys import DiscoPrivate, NodePrivate, NodePublic
from node.netmap import Netmap
from node.wire.classify import Kind, classify
from node.wire.disco import looks_like_disco
from node.wire.endpoint import Endpoint
from node.wire.wireguard import TRANSPORT


class Mesh:
    def __init__(
        self,
        private: NodePrivate,
        disco: DiscoPrivate,
        *,
        random: Callable[[int], bytes],
        epoch: float,
        mtu: int = 1280,
        limits: Limits | None = None,
        log_keys: bool = False,
    ) -> None:
        self.public = private.public
        self.counters: Counter[str] = Counter()
        self.device = Device(
            private, random=random, epoch=epoch, mtu=mtu, limits=limits, log_keys=log_keys
        )
        self.relays = Relays(random)
        self.surroundings = Surroundings(random)
        self._by_relay = ByRelay(self.relays)
        self._talk = DiscoTalk(self.public, disco, random, self.surroundings, self._by_relay)
        self._activity = Activity(self.surroundings)
        self.asks = self._talk.asks
        self.disco_key = self._talk.box.public
        self._courier = Courier(self._talk, self._by_relay)
        self.roster = Roster(self.public, self._talk.box, random=random, mtu=mtu)
        self.peer_relays = PeerRelays(self.roster, self._talk, random, self._meet)
        self._talk.about_peer_relays = self.peer_relays.receive_relayed
        self.lanes = Lanes(self.device, self._courier.traffic, self._sent_by_lane, self._heard)
        self._introductions = Introductions(self.device, self.roster, self._talk, self._courier)
        device, relays, peer_relays = self.device, self.relays, self.peer_relays
        self._timed = (
            device, relays, self.surroundings, self.asks, peer_relays, self._activity, self.lanes,
        )  # fmt: skip
        traffic, talk = self._courier.traffic, self._talk
        self._counting = (
            device, relays, talk, self._introductions, peer_relays, traffic,
            self.surroundings, self.roster,
        )  # fmt: skip
        self._relay_news = RelayNews(relays, self._by_relay, self.roster, talk, self.surroundings)

    @property
    def deadline(self) -> float | None:
        paths = (peer.paths.deadline for peer in self.roster)
        times = chain((each.deadline for each in self._timed), paths)
        return min((time for time in times if time is not None), default=None)

    # --- the netmap and the machine ---

    def set_netmap(self, netmap: Netmap, now: float) -> list[Action]:
        """Who is there. Peers that stay keep their sessions and paths."""
        actions = self.lanes.leave(now)
        self.lanes.forget()
        gone = self.roster.set_netmap(netmap)
        self.peer_relays.netmap_changed(netmap.peer_relay, gone, now)
        codes = {number: region.region_code for number, region in netmap.regions.items()}
        self._by_relay.codes = self.surroundings.codes = codes
        self._talk.networks = self.roster.networks
        actions += [told_gone(peer) for peer in gone if peer.shown]
        actions += self._perform(self.device.set_peers(self.roster.configs, now), None, now)
        actions += self.relays.set_regions(sorted(netmap.regions), now, netmap.home_region)
        for peer in self.roster:
            endpoints = self._talk.usable(peer.config.endpoints)
            actions += self._talk.perform(peer, peer.paths.add_candidates(endpoints, now), now)
        return actions

    def set_local_endpoints(self, endpoints: Iterable[Endpoint], now: float) -> list[Action]:
        return self._settle(self.surroundings.set_local(endpoints, now), now)

    def set_mapped_endpoint(self, endpoint: Endpoint | None, now: float) -> list[Action]:
        """The port that our router has mapped to ours; None: no more."""
        return self._settle(self.surroundings.set_mapped(endpoint, now), now)

    def set_relay_addresses(
        self, servers: Mapping[int, Sequence[Endpoint]], now: float
    ) -> list[Action]:
        """The STUN servers of each region."""
        return self._settle(self.surroundings.set_servers(servers, now), now)

    def link_changed(self, now: float, local: Iterable[Endpoint] | None = None) -> list[Action]:
        """Another network, a new address, a long sleep: whatever we knew of the way is old."""
        actions = self.lanes.leave(now)
        actions += self.relays.link_changed(now)
        actions += self._settle(self.surroundings.link_changed(now, local), now)
        self.peer_relays.link_changed()
        for peer in self.roster:
            actions += self._talk.perform(peer, peer.paths.reset(now), now)
        return actions

    def check_network(self, now: float) -> list[Action]:
        """A netcheck, now. Its report comes as an event."""
        return self._settle(self.surroundings.check(now), now)

    # --- packets ---

    def receive_tun(self, packets: Sequence[bytes], now: float) -> list[Action]:
        """From the application. Whatever goes out because of it counts as use of the path."""
        actions = self.lanes.leave(now)
        return actions + self._perform_used(self.device.send(packets, now), now)

    def receive_batch(self, packets: Sequence[SuperPacket], now: float) -> Iterator[Action]:
        """As `receive_tun`, for reads that have one destination. The packets leave first."""
        yield from self.lanes.leave(now)
        for output in self.device.send_batch(packets, now):
            if isinstance(output, TransmitRows):
                peer = self.roster[output.peer]
                yield from self._courier.send_rows(peer, output.rows, now)
                yield from self._use(peer, now)
                if self.lanes.may_want(len(packets) == 1 and packets[0].is_ordinary):
                    self.lanes.want(peer, packets[0].destination, now)
            else:
                yield from self._perform_used([output], now)

    def _perform_used(self, outputs: Sequence[Output], now: float) -> list[Action]:
        actions: list[Action] = []
        for output in outputs:
            if isinstance(output, Transmit):
                actions += self._send_used(self.roster[output.peer], output.datagrams, now)
            else:
                actions += self._perform([output], None, now)
        return actions

    def receive_rows(
        self, index: int, rows: Rows, source: Endpoint | RelayPath, now: float
    ) -> Iterator[Action]:
        """As `receive_udp` or `receive_relay`, for transport data to one of our indices."""
        yield from self.lanes.leave(now)
        peer = None
        if isinstance(source, RelayPath):
            peer = self._came_by_relay(source.region, source.peer, rows.count)
            if peer is None:
                return
        means_nothing = True
        for output in self.device.receive_rows(index, rows, source, now):
            means_nothing = False
            if isinstance(output, DeliverWrites):
                peer_heard, writes = self.roster[output.peer], output.writes
                yield from self._introductions.sort_writes(peer_heard, writes, now)
                if self.lanes.may_want(rows.count == 1):
                    self.lanes.want(peer_heard, self.device.source_of(writes[0]), now, index)
            elif isinstance(output, Heard):
                yield from self._heard(self.roster[output.peer], output.source, now)
            else:
                yield from self._perform([output], source, now)
        self._courier.traffic.received_rows(source, rows)
        if peer is not None and means_nothing:
            yield from self._repair(peer, now, renew=False)

    def receive_udp(self, datagrams: Sequence[bytes], source: Endpoint, now: float) -> list[Action]:
        actions = self.lanes.leave(now)
        for kind, run in groupby(datagrams, key=classify):
            match kind:
                case Kind.WIREGUARD:
                    actions += self._receive_wireguard(list(run), source, now)
                case Kind.DISCO:
                    for packet in run:
                        actions += self._receive_disco(packet, source, now)
                case Kind.STUN:
                    for datagram in run:
                        news = self.surroundings.receive_stun(datagram, source, now)
                        actions += self._settle(news, now)
                case Kind.GENEVE:
                    actions += self._receive_geneve(list(run), source, now)
        return actions

    def receive_relay(
        self, region: int, key: NodePublic, packets: Sequence[bytes], now: float
    ) -> list[Action]:
        peer = self._came_by_relay(region, key, len(packets))
        if peer is None:
            return []
        actions = self.lanes.leave(now)
        for is_disco, run in groupby(packets, key=looks_like_disco):
            if is_disco:
                for packet in run:
                    actions += self._receive_relayed_disco(peer, packet, region, now)
            else:
                actions += self._receive_relayed(peer, list(run), region, now)
        return actions

    def _came_by_relay(self, region: int, key: NodePublic, count: int) -> MeshPeer | None:
        self.relays.heard(region)
        peer = self.roster.get(key)
        if peer is None:
            self.counters["unknown_peer"] += count
        else:
            self._by_relay.heard(peer, region)
        return peer

    # --- relays ---

    def relay_connected(self, region: int, now: float, server: str = "") -> list[Action]:
        actions = self._relay_news.connected(region, server, now)
        return actions + self._settle(self.surroundings.relay_opened(region, now), now)

    def relay_lost(self, region: int, why: str, now: float, *, retry: bool = True) -> list[Action]:
        return self._relay_news.lost(region, why, retry, now)

    def udp_failed(self, to: Endpoint, now: float) -> list[Action]:
        """The system has no way to that endpoint."""
        return self.lanes.leave(now) + [
            action
            for peer in self.roster
            for action in self._talk.perform(peer, peer.paths.endpoint_failed(to, now), now)
        ]

    def relay_alive(self, region: int) -> None:
        """It answered a probe, or said anything else that is of no further interest."""
        self.relays.heard(region)

    def relay_peer_gone(self, region: int, key: NodePublic, reason: int, now: float) -> None:
        self.relays.heard(region)
        self.counters[f"peer_gone_{reason}"] += 1
        peer = self.roster.get(key)
        if peer is not None:
            self._by_relay.peer_gone(peer, region, now)

    # --- people and time ---

    def ping(self, ask: int, key: NodePublic, now: float) -> list[Action]:
        """`Answered` follows, if anything does. Counts as use of the path and starts the search."""
        peer, actions = self.roster[key], self.lanes.leave(now)
        self.asks.open(ask, key, now)
        return [
            *actions,
            *self._use(peer, now),
            *self._meet(peer, now),
            *self._talk.ask(ask, peer, now),
        ]

    def status(self, now: float) -> MeshStatus:
        self.lanes.settle()
        return status_of(self, self._by_relay, now)

    @property
    def all_counters(self) -> Counter[str]:
        return sum((each.counters for each in self._counting), self.counters.copy())

    def tick(self, now: float) -> list[Action]:
        actions = self.lanes.leave(now)
        actions += self._perform(self.device.tick(now), None, now)
        actions += [*self.relays.tick(now), *self._relay_news.announce_home(now)]
        actions += self.peer_relays.tick(now)
        for peer in self.roster:
            due = peer.paths.deadline
            if due is not None and due <= now:
                actions += self._talk.perform(peer, peer.paths.tick(now), now)
        actions += self._settle(self.surroundings.tick(now), now)
        self.asks.tick(now)
        actions += self._settle(self._activity.tick(now), now)
        self.lanes.review(now)
        return actions

    # --- what the device wants ---

    def _perform(
        self, outputs: Sequence[Output], source: Source | None, now: float
    ) -> list[Action]:
        actions: list[Action] = []
        for output in outputs:
            match output:
                case Transmit(key, datagrams, is_data):
                    peer = self.roster[key]
                    if is_data:
                        actions += self._send_used(peer, datagrams, now)
                    else:
                        actions += self._courier.send_quietly(peer, datagrams, source, now)
                case DeliverWrites(key, writes):
                    actions += self._introductions.sort_writes(self.roster[key], writes, now)
                case Deliver(key, packets):
                    actions += self._introductions.sort(self.roster[key], packets, now)
                case Heard(key, heard_at):
                    actions += self._heard(self.roster[key], heard_at, now)
                case InitiationTooOld(key):  # if the peer is in earnest, ours it will take
                    actions += self._repair(self.roster[key], now, renew=True)
                case Reply(to, datagrams):
                    actions += self._courier.reply(to, datagrams, now)
                case HandshakeSecrets():
                    actions.append(LogKeys(output))
                case HandshakeCompleted(key):
                    peer = self.roster[key]
                    actions.append(Event("handshake", {"peer": peer.name}))
                    actions += self._introductions.introduce(peer, now)
        return actions

    def _heard(self, peer: MeshPeer, source: Source, now: float) -> list[Action]:
        peer.heard(now)
        if peer.is_plain:
            peer.roamed = source if isinstance(source, Endpoint) else peer.roamed
            return self._talk.tell_plain(peer)
        way = source if isinstance(source, Endpoint | PeerRelayed) else None
        actions = self._talk.perform(peer, peer.paths.data_received(way, now), now)
        if peer.shown is None:
            actions += self._talk.tell_relayed(peer, peer.paths.why, now)
        return actions

    # --- what comes by a relay, and disco ---

    def _receive_relayed(
        self, peer: MeshPeer, packets: list[bytes], region: int, now: float
    ) -> list[Action]:
        source = RelayPath(region, peer.key)
        self._courier.traffic.received(source, packets)
        outputs = self.device.receive(packets, source, now)
        if not outputs and packets[0][:1] == bytes([TRANSPORT]):
            return self._repair(peer, now, renew=False)  # we have restarted; it does not know
        return self._perform(outputs, source, now)

    def _receive_geneve(
        self, datagrams: Sequence[bytes], source: Endpoint, now: float
    ) -> list[Action]:
        actions: list[Action] = []
        for each in self.peer_relays.receive(datagrams, source, now):
            match each:
                case Inner(way, packets) if looks_like_disco(packets[0]):
                    for packet in packets:
                        actions += self._receive_disco(packet, way, now)
                case Inner(way, packets):
                    actions += self._receive_wireguard(packets, way, now)
                case _:
                    actions.append(each)
        return actions

    def _receive_wireguard(self, datagrams: list[bytes], way: Way, now: float) -> list[Action]:
        self._courier.traffic.received(way, datagrams)
        return self._perform(self.device.receive(datagrams, way, now), way, now)

    def _receive_disco(self, packet: bytes, source: Way, now: float) -> list[Action]:
        peer = self.roster.sender_of(packet)
        if peer is None:
            self.counters["disco_unknown"] += 1
            return []
        return self._settle(self._talk.receive_udp(peer, packet, source, now), now)

    def _receive_relayed_disco(
        self, peer: MeshPeer, packet: bytes, region: int, now: float
    ) -> list[Action]:
        sender = self.roster.sender_of(packet)
        if sender not in (None, peer) or self._talk.box.is_ours(packet):
            self.counters["disco_refused"] += 1
            return []
        actions = self._talk.receive_relay(peer, packet, region, now) if sender else None
        # One of us holds an old disco key of the other: a handshake makes both tell theirs again.
        return self._repair(peer, now, renew=True) if actions is None else actions

    def _meet(self, peer: MeshPeer, now: float) -> list[Action]:
        """So that each of us knows the other's disco key."""
        return self._perform(self.device.initiate(peer.key, now), None, now)

    def _repair(self, peer: MeshPeer, now: float, *, renew: bool) -> list[Action]:
        if not peer.may_repair(now):
            return []
        return self._perform(self.device.initiate(peer.key, now, renew=renew), None, now)

    # --- use ---

    def _settle(self, news: Sequence[Action | News], now: float) -> list[Action]:
        actions: list[Action] = []
        for each in news:
            match each:
                case EndpointsChanged(_, is_news):
                    actions += self._relay_news.call_peers(now) if is_news else []
                case RegionsRanked(best_first):
                    actions += [
                        *self.relays.prefer(best_first, now),
                        *self._relay_news.announce_home(now),
                    ]
                case _:
                    actions.append(each)
        return actions

    def _send_used(self, peer: MeshPeer, datagrams: Sequence[bytes], now: float) -> list[Action]:
        return self._use(peer, now) + self._courier.send_used(peer, datagrams, now)

    def _sent_by_lane(self, peer: MeshPeer, when: float) -> list[Action]:
        """By a lane, a moment ago."""
        actions = self._use(peer, when)
        outputs = [] if peer.is_plain else peer.paths.data_sent(when)[1]
        return actions + self._talk.perform(peer, outputs, when) if outputs else actions

    def _use(self, peer: MeshPeer, now: float) -> list[Action]:
        news = self._activity.used(peer, now)
        return self._settle(news, now) if news else []
