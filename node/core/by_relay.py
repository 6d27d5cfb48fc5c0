"""Which relay carries packets to a peer.

Its home, as the netmap says, as long as that relay is up and knows the peer, and the peer does not come
to us by a relay that is nobody's home: then it cannot reach ours, nor be reached at its own, and we may
not notice. Else the relay through which the peer last reached us; else every relay we are connected to,
for the peer has the same trouble and will have moved to one of them; and the rest of them, if none of
those knows the peer. A peer that does not answer at all
is looked for everywhere, and when a relay falls silent others carry everything as well: tunnels drop
what comes twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from node.core.actions import Action
from node.core.mesh_peer import MeshPeer
from node.core.relays import Relays
from node.keys import NodePublic

GONE = 10.0  # seconds that a relay's word "not here" is believed, if there is another relay
SEARCH_AFTER = 2  # initiations without an answer


class ByRelay:
    def __init__(self, relays: Relays) -> None:
        self._relays = relays
        self.codes: dict[int, str] = {}  # what people call the regions

    def via(self, peer: MeshPeer, now: float) -> str:
        """The relay in use, by its code."""
        regions = self.regions(peer, now)
        return self.code(regions[0]) if regions else "no relay"

    def code(self, region: int) -> str:
        return self.codes.get(region, str(region))

    def regions(self, peer: MeshPeer, now: float) -> list[int]:
        if peer.unanswered >= SEARCH_AFTER:
            return self._relays.regions
        chosen = self._chosen(peer, now)
        if not any(self._relays.is_silent(region, now) for region in chosen):
            return chosen
        others = [each for each in self._relays.up if not self._is_gone(peer, each, now)]
        return list(dict.fromkeys([*chosen, *others]))

    def _chosen(self, peer: MeshPeer, now: float) -> list[int]:
        home, heard = peer.config.home_region, peer.heard_region
        known = (None, home, *self._relays.homes)
        if heard not in known and self._relays.is_up(heard):
            return [heard]  # it would rather have met us at our home, or been met at its own
        if not self._is_gone(peer, home, now) and not self._relays.is_failing(home, now):
            return [home]
        if heard is not None and self._relays.is_up(heard) and not self._is_gone(peer, heard, now):
            return [heard]
        up = self._relays.up
        others = [each for each in up if not self._is_gone(peer, each, now)]
        if not others and up:  # where it was it is no more, and it will have gone somewhere else
            others = [r for r in self._relays.regions if not self._is_gone(peer, r, now)]
        return others or up or ([home] if home in self._relays.regions else self._relays.regions)

    def send(self, peer: MeshPeer, packets: Sequence[bytes], now: float) -> list[Action]:
        actions: list[Action] = []
        for region in self.regions(peer, now):
            actions += self._relays.send(region, peer.key, packets, now)
        return actions

    def send_by(
        self, region: int, peer: NodePublic, packets: Sequence[bytes], now: float
    ) -> list[Action]:
        return self._relays.send(region, peer, packets, now)

    def heard(self, peer: MeshPeer, region: int) -> None:
        peer.heard_region = region
        peer.gone.pop(region, None)

    def peer_gone(self, peer: MeshPeer, region: int, now: float) -> None:
        peer.gone[region] = now + GONE
        if peer.heard_region == region:
            peer.heard_region = None

    @staticmethod
    def _is_gone(peer: MeshPeer, region: int, now: float) -> bool:
        return now < peer.gone.get(region, now)
