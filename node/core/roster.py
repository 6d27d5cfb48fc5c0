"""The peers of the mesh: by node key, by disco key, by what people call them.

A disco key belongs to one peer only. It comes from the netmap or, as it is new at every start, from
the peer itself inside the tunnel; the later word counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_network

from node.core.device import PeerConfig
from node.core.disco import DiscoBox
from node.core.mesh_peer import MeshPeer
from node.core.paths import Paths
from node.keys import DiscoPublic, NodePublic
from node.netmap import Netmap, Peer
from node.wire.disco import NONCE_SIZE, CallMeMaybe, parse_packet
from node.wire.malformed import Malformed


class Roster:
    def __init__(
        self, own: NodePublic, box: DiscoBox, *, random: Callable[[int], bytes], mtu: int
    ) -> None:
        self.name = ""
        self.counters: Counter[str] = Counter()  # of all peers' paths, those that left included
        self.addresses: tuple[str, ...] = ()  # our own, in the overlay
        self._own, self._box, self._random, self._mtu = own, box, random, mtu
        self._peers: dict[NodePublic, MeshPeer] = {}
        self._by_disco: dict[DiscoPublic, MeshPeer] = {}
        self._asked: NodePublic | None = None  # last; a batch asks for its peer several times
        self._answer: MeshPeer | None = None

    def __iter__(self) -> Iterator[MeshPeer]:
        return iter(self._peers.values())

    def __getitem__(self, key: NodePublic) -> MeshPeer:
        if key is not self._asked or self._answer is None:
            self._asked, self._answer = key, self._peers[key]
        return self._answer

    def get(self, key: NodePublic) -> MeshPeer | None:
        return self._peers.get(key)

    def by_disco(self, key: DiscoPublic) -> MeshPeer | None:
        return self._by_disco.get(key)

    def sender_of(self, packet: bytes) -> MeshPeer | None:
        """Of a disco packet, by the key that it names."""
        try:
            return self.by_disco(parse_packet(packet)[0])
        except Malformed:
            return None

    def find(self, word: str) -> MeshPeer | None:
        """By name, by an overlay address or by node key, as a person types it."""
        for peer in self:
            if word in (peer.name, str(peer.key), *peer.config.addresses):
                return peer
        return None

    def ends(self, peer: MeshPeer) -> tuple[str, str] | None:
        """Our overlay address and the peer's, of one family: the ends of what we say in the tunnel."""
        for theirs in peer.config.addresses:
            for ours in self.addresses:
                if (":" in ours) == (":" in theirs):
                    return ours, theirs
        return None

    @property
    def configs(self) -> list[PeerConfig]:
        return [
            PeerConfig(
                peer.key,
                peer.config.allowed_ips,
                peer.config.preshared_key,
                peer.config.persistent_keepalive,
            )
            for peer in self
        ]

    @property
    def networks(self) -> list[IPv4Network | IPv6Network]:
        """What lies behind the tunnel. A default route lies there too, but so does everything."""
        networks = [ip_network(each) for peer in self for each in peer.config.allowed_ips]
        return [network for network in networks if network.prefixlen > 0]

    def set_netmap(self, netmap: Netmap) -> list[MeshPeer]:
        """The peers that are gone."""
        self.name, self.addresses = netmap.name, netmap.addresses
        listed = {each.node_key: each for each in netmap.peers if each.node_key != self._own}
        gone = [peer for key, peer in self._peers.items() if key not in listed]
        for peer in gone:
            del self._peers[peer.key]
            self._forget_disco(peer)
        self._asked = None
        for key, config in listed.items():
            peer = self._peers.get(key) or self._add(config)
            if config.disco_key not in (None, peer.config.disco_key) or peer.disco is None:
                self.learn_disco(peer, config.disco_key)
            peer.config = config
        return gone

    def learn_disco(self, peer: MeshPeer, key: DiscoPublic | None) -> bool:
        """Whether that is news. A key that is another peer's, or no key at all, is refused."""
        if key is None or key == peer.disco or key in self._by_disco:
            return False
        try:
            self._box.seal(CallMeMaybe(), key, self._random(NONCE_SIZE))
        except Malformed:
            return False
        self._forget_disco(peer)
        peer.disco = key
        self._by_disco[key] = peer
        return True

    def _add(self, config: Peer) -> MeshPeer:
        paths = Paths(random=self._random, mtu=self._mtu, counters=self.counters)
        peer = self._peers[config.node_key] = MeshPeer(config, paths, None)
        return peer

    def _forget_disco(self, peer: MeshPeer) -> None:
        if peer.disco is not None:
            self._by_disco.pop(peer.disco, None)
            self._box.forget(peer.disco)
            peer.disco = None
