"""A node as peer relay: it passes datagrams on between two nodes that cannot reach each other.

    client A --(DERP) AllocateRequest--> relay: one endpoint for the pair, with a number (VNI)
    each client:  Bind -->   <-- Challenge   Answer -->     now its address is bound to its side
    both bound:   whatever comes from one side's address with that VNI goes to the other's, unread

The challenge is a MAC over what the client said and where it said it from, so the relay keeps nothing
of those who do not answer, and nobody can bind an address at which it does not receive. An endpoint
that was not bound within 30 s goes, and one of whose sides nothing was heard for 300 s.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import ClassVar

from msgspec import Struct

from node.core.actions import SendUdp
from node.core.disco import DiscoBox
from node.keys import DiscoPrivate, DiscoPublic
from node.veiled import Veiled
from node.wire.disco import NONCE_SIZE, Answer, Bind, Challenge, RelayEndpoint, parse_packet
from node.wire.endpoint import Endpoint
from node.wire.geneve import DISCO, MAX_VNI, GeneveHeader, parse_geneve
from node.wire.malformed import Malformed

BIND_LIFETIME = 30.0  # s
STEADY_LIFETIME = 300.0  # s
SECRET_LIFETIME = 120.0  # s; the one before is still accepted
MOST = 4096  # endpoints
NANOSECONDS = 1_000_000_000
SECRET_SIZE = 32


class _Side(Struct):
    """One of a pair: who, and where it was bound from."""

    key: DiscoPublic
    generation: int = 0  # of the handshake under way
    address: Endpoint | None = None
    heard_at: float = 0.0


class _Pair(Struct):
    """Two that we relay for, known by their number (VNI)."""

    vni: int
    lamport_id: int
    sides: tuple[_Side, _Side]
    made_at: float

    @property
    def is_bound(self) -> bool:
        return all(side.address is not None for side in self.sides)

    @property
    def expires(self) -> float:
        if self.is_bound:
            return min(side.heard_at for side in self.sides) + STEADY_LIFETIME
        return self.made_at + BIND_LIFETIME


class _Secrets(Veiled, frozen=True):
    """The MAC's keys: today's and yesterday's."""

    veiled: ClassVar = ("now", "before")
    now: bytes
    before: bytes
    renew_at: float


class PeerRelayServer:
    def __init__(self, disco: DiscoPrivate, random: Callable[[int], bytes], now: float) -> None:
        self.addresses: Sequence[Endpoint] = ()  # where clients can reach us
        self.counters: Counter[str] = Counter()
        self._box = DiscoBox(disco)
        self._random = random
        self._pairs: dict[int, _Pair] = {}
        self._by_keys: dict[tuple[DiscoPublic, DiscoPublic], _Pair] = {}
        self._next_vni, self._lamport_id = 1, 0
        self._secrets = _Secrets(random(SECRET_SIZE), random(SECRET_SIZE), now + SECRET_LIFETIME)

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def public(self) -> DiscoPublic:
        return self._box.public

    @property
    def deadline(self) -> float | None:
        return min((pair.expires for pair in self._pairs.values()), default=None)

    def allocate(
        self, clients: tuple[DiscoPublic, DiscoPublic], now: float
    ) -> RelayEndpoint | None:
        """The pair's endpoint, always the same one while it lives. None: we cannot serve it."""
        if not self.addresses or clients[0].raw >= clients[1].raw:
            return None
        pair = self._by_keys.get(clients) or self._new_pair(clients, now)
        if pair is None:
            self.counters["peer_relay_full"] += 1
            return None
        if not pair.is_bound:
            pair.made_at = now
        return RelayEndpoint(
            server=self.public,
            clients=clients,
            lamport_id=pair.lamport_id,
            vni=pair.vni,
            bind_lifetime=int(BIND_LIFETIME) * NANOSECONDS,
            steady_lifetime=int(STEADY_LIFETIME) * NANOSECONDS,
            addresses=tuple(self.addresses),
        )

    def expects(self, datagram: bytes) -> bool:
        """Whether a control datagram is from one of our clients, or pretends to be."""
        try:
            header, packet = parse_geneve(datagram)
            pair = self._pairs.get(header.vni)
            return pair is not None and _from(pair, parse_packet(packet)[0]) is not None
        except Malformed:
            return False

    def receive_control(self, datagram: bytes, source: Endpoint, now: float) -> list[SendUdp]:
        """A datagram with the control bit: Bind or Answer, or nothing of ours."""
        try:
            header, packet = parse_geneve(datagram)
            sender, _, _ = parse_packet(packet)
            pair = self._pairs.get(header.vni)
            sides = _from(pair, sender) if pair else None
            if pair is None or sides is None:
                self.counters["peer_relay_stranger"] += 1
                return []
            _, message = self._box.open(packet)
        except Malformed:
            self.counters["peer_relay_malformed"] += 1
            return []
        mine, other = sides
        if not isinstance(message, Bind | Answer) or message.vni != pair.vni:
            self.counters["peer_relay_refused"] += 1
            return []
        if message.remote != other.key or message.generation == 0:
            self.counters["peer_relay_refused"] += 1
            return []
        if isinstance(message, Bind):
            return self._challenge(mine, message, source, now)
        self._bind(mine, message, source, now)
        return []

    def forward(
        self, datagrams: Sequence[bytes], source: Endpoint, now: float
    ) -> list[SendUdp] | None:
        """Datagrams of one VNI, unread, to the other side. None: not from a side of ours."""
        pair = self._pairs.get(int.from_bytes(datagrams[0][4:7]))
        if pair is None:
            return None
        for mine, other in (pair.sides, pair.sides[::-1]):
            if mine.address == source:
                mine.heard_at = now
                if other.address is None:
                    self.counters["peer_relay_unbound"] += len(datagrams)
                    return []
                self.counters["peer_relay_forwarded_packets"] += len(datagrams)
                self.counters["peer_relay_forwarded_bytes"] += sum(map(len, datagrams))
                return [SendUdp(datagrams, other.address)]
        return None

    def tick(self, now: float) -> None:
        for pair in [each for each in self._pairs.values() if each.expires <= now]:
            del self._pairs[pair.vni]
            one, other = pair.sides
            del self._by_keys[one.key, other.key]
            for side in pair.sides:
                if not any(side.key in keys for keys in self._by_keys):
                    self._box.forget(side.key)

    def _new_pair(self, clients: tuple[DiscoPublic, DiscoPublic], now: float) -> _Pair | None:
        if len(self._pairs) >= MOST:
            return None
        while self._next_vni in self._pairs:
            self._next_vni = self._next_vni % MAX_VNI + 1
        self._lamport_id += 1
        sides = (_Side(clients[0]), _Side(clients[1]))
        pair = _Pair(self._next_vni, self._lamport_id, sides, now)
        self._next_vni = self._next_vni % MAX_VNI + 1
        self._pairs[pair.vni] = self._by_keys[clients] = pair
        return pair

    def _challenge(self, side: _Side, bind: Bind, source: Endpoint, now: float) -> list[SendUdp]:
        if now >= self._secrets.renew_at:
            fresh = self._random(SECRET_SIZE)
            self._secrets = _Secrets(fresh, self._secrets.now, now + SECRET_LIFETIME)
        side.generation = bind.generation
        mac = challenge_mac(self._secrets.now, bind, source)
        message = Challenge(bind.vni, bind.generation, bind.remote, mac)
        packet = self._box.seal(message, side.key, self._random(NONCE_SIZE))
        return [SendUdp([GeneveHeader(DISCO, bind.vni, control=True).pack() + packet], source)]

    def _bind(self, side: _Side, answer: Answer, source: Endpoint, now: float) -> None:
        macs = (challenge_mac(s, answer, source) for s in (self._secrets.now, self._secrets.before))
        if answer.generation != side.generation or answer.challenge not in tuple(macs):
            self.counters["peer_relay_refused"] += 1
            return
        side.address, side.heard_at = source, now
        self.counters["peer_relay_bound"] += 1


def challenge_mac(secret: bytes, said: Bind | Answer, source: Endpoint) -> bytes:
    """Over VNI, generation, the other client's key and the source's address."""
    numbers = said.vni.to_bytes(4) + said.generation.to_bytes(4)
    address = ip_address(source.address).packed + source.port.to_bytes(2, "little")
    return hashlib.blake2s(numbers + said.remote.raw + address, key=secret).digest()


def _from(pair: _Pair, sender: DiscoPublic) -> tuple[_Side, _Side] | None:
    """The sender's side and the other one."""
    one, other = pair.sides
    if sender == one.key:
        return one, other
    return (other, one) if sender == other.key else None
