"""Binding our side of peer relays' endpoints: the client's half of the handshake.

    offered an endpoint: Bind to all its addresses, again every second until it answers
    Challenge from one of them: Answer there, and the way is ours to use

Which endpoint is for which peer, and whether its way leads anywhere, is the peer's paths' business.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from node.core.actions import SendUdp
from node.core.disco import DiscoBox
from node.core.ways import PeerRelayed
from node.keys import DiscoPublic, NodePublic
from node.wire.disco import NONCE_SIZE, Answer, Bind, Challenge, RelayEndpoint, parse_packet
from node.wire.endpoint import Endpoint
from node.wire.geneve import DISCO, GeneveHeader, parse_geneve
from node.wire.malformed import Malformed

BIND_AGAIN = 1.0  # s
BIND_WITHIN = 30.0  # s, or as long as the relay keeps the endpoint, if that is shorter
JUST_BOUND = 3.0  # s; before that the same endpoint is not bound again
STEADY = 300.0  # s without a datagram: the relay has forgotten us
MOST_ADDRESSES = 16  # of one relay; each costs a datagram a second
MOST = 1024  # endpoints at once
NANOSECONDS = 1e9


class _Binding(Struct):
    """Our side of a relayed pair, while it is being bound."""

    peer: NodePublic
    remote: DiscoPublic
    endpoint: RelayEndpoint
    generation: int
    gives_up: float
    bind_at: float
    way: PeerRelayed | None = None  # bound
    bound_at: float = math.inf
    heard_at: float = 0.0

    @property
    def deadline(self) -> float:
        return min(self.bind_at, self.gives_up) if self.way is None else self.heard_at + STEADY


class Bound(Struct, frozen=True):
    """The relay passes on what we send that way."""

    peer: NodePublic
    way: PeerRelayed


class PeerRelayClient:
    def __init__(self, box: DiscoBox, random: Callable[[int], bytes]) -> None:
        self.counters: Counter[str] = Counter()
        self._box, self._random = box, random
        self._bindings: dict[tuple[DiscoPublic, int], _Binding] = {}  # by server and VNI
        self._ways: dict[PeerRelayed, _Binding] = {}
        self._generation = int.from_bytes(random(3))

    def __len__(self) -> int:
        return len(self._bindings)

    @property
    def deadline(self) -> float | None:
        return min((each.deadline for each in self._bindings.values()), default=None)

    def offered(
        self, peer: NodePublic, remote: DiscoPublic, endpoint: RelayEndpoint, now: float
    ) -> list[SendUdp]:
        """An endpoint for us and that peer. The same one again is bound again: our address may be new."""
        if set(endpoint.clients) != {self._box.public, remote}:
            self.counters["peer_relay_not_ours"] += 1
            return []
        for other in [b for b in self._bindings.values() if b.peer == peer]:
            if other.endpoint.server != endpoint.server:
                continue
            if other.endpoint.lamport_id > endpoint.lamport_id:
                return []
            if other.endpoint.vni == endpoint.vni and now < other.bound_at + JUST_BOUND:
                return []  # under way, or done: both ends may have asked for it
            self._drop(other)
        if len(self._bindings) >= MOST:
            return []
        self._generation = self._generation % 0xFFFFFFFF + 1
        until = now + min(BIND_WITHIN, endpoint.bind_lifetime / NANOSECONDS)
        binding = _Binding(peer, remote, endpoint, self._generation, until, now)
        self._bindings[endpoint.server, endpoint.vni] = binding
        return self._bind(binding, now)

    def receive_control(
        self, datagram: bytes, source: Endpoint, now: float
    ) -> list[SendUdp | Bound]:
        try:
            header, packet = parse_geneve(datagram)
            server, _, _ = parse_packet(packet)
            binding = self._bindings.get((server, header.vni))
            if binding is None or binding.way is not None:
                self.counters["peer_relay_stranger"] += 1
                return []
            _, message = self._box.open(packet)
        except Malformed:
            self.counters["peer_relay_malformed"] += 1
            return []
        asked = (binding.endpoint.vni, binding.generation, binding.remote)
        if not isinstance(message, Challenge) or asked != (
            message.vni,
            message.generation,
            message.remote,
        ):
            self.counters["peer_relay_refused"] += 1
            return []
        binding.way = PeerRelayed(source, header.vni)
        binding.bound_at = binding.heard_at = now
        self._ways[binding.way] = binding
        answer = Answer(*asked, message.challenge)
        return [self._say(binding, answer, source), Bound(binding.peer, binding.way)]

    def heard(self, way: PeerRelayed, now: float) -> NodePublic | None:
        """Who is at the other end, if that way is one of ours."""
        binding = self._ways.get(way)
        if binding is None:
            return None
        binding.heard_at = now
        return binding.peer

    def forget(self, peer: NodePublic | None = None) -> None:
        """All of that peer, or of everybody: our own address is another one."""
        for binding in list(self._bindings.values()):
            if peer in (None, binding.peer):
                self._drop(binding)

    def tick(self, now: float) -> list[SendUdp]:
        actions: list[SendUdp] = []
        for binding in [each for each in self._bindings.values() if each.deadline <= now]:
            if binding.way is not None or binding.gives_up <= now:
                self._drop(binding)
            else:
                actions += self._bind(binding, now)
        return actions

    def _bind(self, binding: _Binding, now: float) -> list[SendUdp]:
        binding.bind_at = now + BIND_AGAIN
        endpoint = binding.endpoint
        bind = Bind(endpoint.vni, binding.generation, binding.remote)
        try:
            return [self._say(binding, bind, to) for to in endpoint.addresses[:MOST_ADDRESSES]]
        except Malformed:  # not a key that one can agree with
            self._drop(binding)
            return []

    def _say(self, binding: _Binding, message: Bind | Answer, to: Endpoint) -> SendUdp:
        sealed = self._box.seal(message, binding.endpoint.server, self._random(NONCE_SIZE))
        header = GeneveHeader(DISCO, binding.endpoint.vni, control=True)
        return SendUdp([header.pack() + sealed], to)

    def _drop(self, binding: _Binding) -> None:
        self._bindings.pop((binding.endpoint.server, binding.endpoint.vni), None)
        if binding.way is not None:
            self._ways.pop(binding.way, None)
        if not any(b.endpoint.server == binding.endpoint.server for b in self._bindings.values()):
            self._box.forget(binding.endpoint.server)
