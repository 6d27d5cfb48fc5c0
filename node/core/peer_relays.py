"""Peer relays in the mesh: asking for one when no direct path is found, and being one for others.

    no direct path for a while --> AllocateRequest to a node that relays, by DERP
                                   AllocateResponse: bind our side, and CallMeMaybeVia to the peer,
                                   which binds its own; then pings through it prove the way

A node that relays is first met like any other, by a handshake, for only then we know its disco key.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from node.core.actions import Action, Event
from node.core.disco_talk import DiscoTalk
from node.core.mesh_peer import MeshPeer
from node.core.path_outputs import Relayed
from node.core.peer_relay_client import Bound, PeerRelayClient
from node.core.peer_relay_server import PeerRelayServer
from node.core.roster import Roster
from node.core.ways import PeerRelayed
from node.keys import DiscoPrivate, DiscoPublic, NodePublic
from node.wire.disco import AllocateRequest, AllocateResponse, CallMeMaybeVia, RelayEndpoint
from node.wire.endpoint import Endpoint
from node.wire.geneve import CONTROL_BIT, GENEVE_SIZE, parse_geneve
from node.wire.malformed import Malformed

PATIENCE = 1.5  # s of looking for a direct path, which nearly always takes less
AGAIN, LONGEST = 10.0, 60.0  # s between attempts, doubled each time
MEETING = 0.5  # s to wait for a handshake with the relaying node
MEETINGS = 8
RELAYS = 3  # asked at once
REQUESTS = 64  # remembered

Introduce = Callable[[MeshPeer, float], list[Action]]


class _Attempt(Struct):
    """When a peer relay was tried for a peer, and when it may be again."""

    at: float = -math.inf
    next_at: float = -math.inf
    gap: float = AGAIN
    meetings: int = 0


class Inner(Struct, frozen=True):
    """What came through a peer relay, unwrapped: all disco, or all WireGuard."""

    way: PeerRelayed
    packets: list[bytes]


class PeerRelays:
    def __init__(
        self, roster: Roster, talk: DiscoTalk, random: Callable[[int], bytes], introduce: Introduce
    ) -> None:
        self.server: PeerRelayServer | None = None
        self.client = PeerRelayClient(talk.box, random)
        self._roster, self._talk = roster, talk
        self._random, self._introduce = random, introduce
        self._attempts: dict[NodePublic, _Attempt] = {}
        self._requests: dict[int, NodePublic] = {}  # by generation: for whom
        self._generation = int.from_bytes(random(3))
        self._relays: list[MeshPeer] = []

    @property
    def counters(self) -> Counter[str]:
        served = self.server.counters if self.server else Counter[str]()
        return self.client.counters + served

    # --- time ---

    @property
    def deadline(self) -> float | None:
        times = [self.client.deadline, self.server.deadline if self.server else None]
        if self._relays:
            times += [self._due(peer) for peer in self._roster]
        return min((time for time in times if time is not None), default=None)

    def _due(self, peer: MeshPeer) -> float | None:
        """When a peer relay is to be asked for; None: it is not wanted."""
        if peer.is_plain or not isinstance(peer.paths.path, Relayed):
            return None
        due = peer.paths.searching_since + PATIENCE
        attempt = self._attempts.get(peer.key)
        if attempt is not None and attempt.at >= peer.paths.searching_since:
            due = max(due, attempt.next_at)
        return due if due < peer.active_until else None

    def tick(self, now: float) -> list[Action]:
        actions: list[Action] = [*self.client.tick(now)]
        if self.server is not None:
            self.server.tick(now)
        if self._relays:
            for peer in self._roster:
                due = self._due(peer)
                if due is not None and due <= now:
                    actions += self._attempt(peer, now)
        return actions

    # --- asking for one ---

    def netmap_changed(self, serves: bool, gone: Iterable[MeshPeer], now: float) -> None:
        self._relays = [each for each in self._roster if each.config.peer_relay]
        for peer in gone:
            self.client.forget(peer.key)
            self._attempts.pop(peer.key, None)
        if serves and self.server is None:
            disco = DiscoPrivate.from_seed(self._random(32))
            self.server = PeerRelayServer(disco, self._random, now)
        elif not serves:
            self.server = None

    def link_changed(self) -> None:
        """The relays have bound an address that is ours no more."""
        self.client.forget()
        self._attempts.clear()

    def _attempt(self, peer: MeshPeer, now: float) -> list[Action]:
        attempt = self._attempts.get(peer.key)
        if attempt is None or attempt.at < peer.paths.searching_since:
            attempt = self._attempts[peer.key] = _Attempt()
        attempt.at = now
        actions: list[Action] = []
        relays = [each for each in self._relays if each is not peer and not each.is_plain][:RELAYS]
        strangers = [each for each in relays if each.disco is None]
        for relay in strangers:
            actions += self._introduce(relay, now)
        if peer.disco is not None:
            for relay in relays:
                actions += self._request(relay, peer.key, peer.disco, now)
        meet_again = (strangers or peer.disco is None) and attempt.meetings < MEETINGS
        attempt.meetings += 1
        attempt.next_at = now + (MEETING if meet_again else attempt.gap)
        if not meet_again:
            attempt.gap = min(LONGEST, 2 * attempt.gap)
        return actions

    def _request(
        self, relay: MeshPeer, peer: NodePublic, disco: DiscoPublic, now: float
    ) -> list[Action]:
        if relay.disco is None:
            return []
        self._generation = self._generation % 0xFFFFFFFF + 1
        self._requests[self._generation] = peer
        if len(self._requests) > REQUESTS:
            del self._requests[next(iter(self._requests))]
        one, other = sorted((self._talk.box.public, disco), key=lambda key: key.raw)
        return self._talk.say(relay, AllocateRequest((one, other), self._generation), now)

    # --- what comes by a relay ---

    def receive_relayed(
        self,
        peer: MeshPeer,
        message: AllocateRequest | AllocateResponse | CallMeMaybeVia,
        now: float,
    ) -> list[Action]:
        match message:
            case AllocateRequest(clients, generation):
                return self._allocate(peer, clients, generation, now)
            case AllocateResponse(generation, endpoint):
                other = self._roster.get(self._requests.pop(generation, peer.key))
                if other is None or other is peer or other.disco is None:
                    return []
                if not peer.config.peer_relay:
                    return []
                via = CallMeMaybeVia(endpoint)
                return [*self._bind(other, endpoint, now), *self._talk.say(other, via, now)]
            case CallMeMaybeVia(endpoint):
                return self._bind(peer, endpoint, now)

    def _allocate(
        self,
        peer: MeshPeer,
        clients: tuple[DiscoPublic, DiscoPublic],
        generation: int,
        now: float,
    ) -> list[Action]:
        if self.server is None or peer.disco not in clients:
            return []
        self.server.addresses = self._talk.own_endpoints(now)
        endpoint = self.server.allocate(clients, now)
        if endpoint is None:
            return []
        return self._talk.say(peer, AllocateResponse(generation, endpoint), now)

    def _bind(self, peer: MeshPeer, endpoint: RelayEndpoint, now: float) -> list[Action]:
        path = peer.paths.path
        if isinstance(path, PeerRelayed) and path.vni == endpoint.vni and peer.paths.trusted(now):
            return []
        addresses = tuple(self._talk.usable(endpoint.addresses))
        if peer.disco is None or not addresses:
            return []
        endpoint = replace(endpoint, addresses=addresses)
        return [*self.client.offered(peer.key, peer.disco, endpoint, now)]

    # --- what comes by UDP, behind Geneve ---

    def receive(
        self, datagrams: Sequence[bytes], source: Endpoint, now: float
    ) -> list[Action | Inner]:
        """As a peer relay, or as the client of one; one header after the other."""
        outputs: list[Action | Inner] = []
        for header, each in groupby(datagrams, key=lambda datagram: datagram[:GENEVE_SIZE]):
            run = list(each)
            if header[1] & CONTROL_BIT:
                for datagram in run:
                    outputs += self._receive_control(datagram, source, now)
                continue
            forwarded = self.server.forward(run, source, now) if self.server else None
            outputs += self._unwrapped(run, source, now) if forwarded is None else forwarded
        return outputs

    def _unwrapped(self, datagrams: list[bytes], source: Endpoint, now: float) -> list[Inner]:
        try:
            way = PeerRelayed(source, parse_geneve(datagrams[0])[0].vni)
        except Malformed:
            self.client.counters["peer_relay_malformed"] += len(datagrams)
            return []
        if self.client.heard(way, now) is None:
            self.client.counters["peer_relay_unknown"] += len(datagrams)
            return []
        return [Inner(way, [datagram[GENEVE_SIZE:] for datagram in datagrams])]

    def _receive_control(self, datagram: bytes, source: Endpoint, now: float) -> list[Action]:
        if self.server is not None and self.server.expects(datagram):
            return [*self.server.receive_control(datagram, source, now)]
        actions: list[Action] = []
        for output in self.client.receive_control(datagram, source, now):
            if not isinstance(output, Bound):
                actions.append(output)
            elif (peer := self._roster.get(output.peer)) is not None:
                fields = {"peer": peer.name, "via": str(output.way)}
                actions.append(Event("peer_relay_bound", fields, verbose=True))
                outputs = peer.paths.add_peer_relay(output.way, now)
                actions += self._talk.perform(peer, outputs, now)
        return actions
