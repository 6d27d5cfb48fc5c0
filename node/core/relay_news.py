"""What becomes of our relays, told: in events, and to the peers that care where we are to be found."""

from __future__ import annotations

from node.core.actions import Action, Event
from node.core.by_relay import ByRelay
from node.core.disco_talk import DiscoTalk
from node.core.relays import Relays
from node.core.roster import Roster
from node.core.surroundings import Surroundings


class RelayNews:
    def __init__(
        self,
        relays: Relays,
        by_relay: ByRelay,
        roster: Roster,
        talk: DiscoTalk,
        surroundings: Surroundings,
    ) -> None:
        self._relays, self._by_relay, self._roster = relays, by_relay, roster
        self._talk, self._surroundings = talk, surroundings
        self._announced_home: int | None = None
        self._why_lost: dict[int, str] = {}  # relays that are down, as last told

    def connected(self, region: int, server: str, now: float) -> list[Action]:
        fields = {"region": self._by_relay.code(region), "server": server}
        if self._why_lost.pop(region, None) is not None:
            self._surroundings.doubt(now)  # what broke it may have been our NAT
        if region == self._relays.home:
            self._announced_home = None  # also after a short loss, as the relay told them we went
        actions = self._relays.connected(region, now)
        return [Event("relay_connected", fields), *actions, *self.announce_home(now)]

    def lost(self, region: int, why: str, retry: bool, now: float) -> list[Action]:
        actions: list[Action] = []
        if self._why_lost.get(region) != why:  # each attempt in vain is no news
            self._why_lost[region] = why
            event = Event("relay_lost", {"region": self._by_relay.code(region), "why": why})
            actions.append(event)
        actions += self._relays.lost(region, now, retry)
        return [*actions, *self._hand_over(region, now), *self.announce_home(now)]

    def _hand_over(self, region: int, now: float) -> list[Action]:
        """What waits for a relay that fails leaves by those that carry its peer's packets from now on."""
        actions: list[Action] = []
        for peer in self._roster:
            if region not in self._by_relay.regions(peer, now):
                packets = self._relays.take_back(region, peer.key, now)
                actions += self._by_relay.send(peer, packets, now) if packets else []
        return actions

    def announce_home(self, now: float) -> list[Action]:
        """A peer that hears us by way of a relay knows that we are to be found there."""
        home = self._relays.home
        if home == self._announced_home or home is None or not self._relays.is_up(home):
            return []
        self._announced_home = home
        return self.call_peers(now)

    def call_peers(self, now: float) -> list[Action]:
        return [
            action
            for peer in self._roster
            if peer.cares(now)
            for action in self._talk.call(peer, now)
        ]
