"""Disco keys, told inside the tunnel: each new handshake is followed by our own key, as TSMP.

Disco keys live only as long as the process. So a node that starts knows nobody's, and nobody knows
its own, until the first handshake over the relay; from that moment on both ends can look for a
direct path.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from node.core.actions import Action, WriteMerged, WriteTun
from node.core.checksum import Buffer
from node.core.courier import Courier
from node.core.device import Device, Transmit
from node.core.disco_talk import DiscoTalk
from node.core.mesh_peer import MeshPeer
from node.core.roster import Roster
from node.wire.malformed import Malformed
from node.wire.tsmp import is_tsmp, pack_advertisement, parse_advertisement


class Introductions:
    def __init__(self, device: Device, roster: Roster, talk: DiscoTalk, courier: Courier) -> None:
        self.counters: Counter[str] = Counter()
        self._device, self._roster, self._talk, self._courier = device, roster, talk, courier

    def introduce(self, peer: MeshPeer, now: float) -> list[Action]:
        """Ourselves to the peer. Nobody's data, so it does not count as use of the path."""
        ends = self._roster.ends(peer)
        if ends is None or peer.is_plain:
            return []
        advertisement = pack_advertisement(self._talk.box.public, *ends)
        actions: list[Action] = []
        for output in self._device.send([advertisement], now):
            if isinstance(output, Transmit):
                actions += self._courier.send_quietly(peer, output.datagrams, None, now)
        return actions

    def sort(self, peer: MeshPeer, packets: Sequence[bytes], now: float) -> list[Action]:
        """What came out of the tunnel: some of it may be for us, not for the application."""
        actions: list[Action] = []
        for_us = [packet for packet in packets if is_tsmp(packet)]
        if for_us:
            packets = [packet for packet in packets if not is_tsmp(packet)]
            for packet in for_us:
                actions += self.receive(peer, packet, now)
        return [*actions, WriteTun(packets)] if packets else actions

    def sort_writes(self, peer: MeshPeer, writes: Sequence[Buffer], now: float) -> list[Action]:
        skip = self._device.virtio_size
        for_us = [write for write in writes if is_tsmp(write, skip)]
        if not for_us:
            return [WriteMerged(writes)]
        actions: list[Action] = [WriteMerged([w for w in writes if not is_tsmp(w, skip)])]
        for write in for_us:
            actions += self.receive(peer, bytes(write[skip:]), now)
        return actions

    def receive(self, peer: MeshPeer, packet: bytes, now: float) -> list[Action]:
        try:
            key = parse_advertisement(packet)
        except Malformed:
            self.counters["tsmp_malformed"] += 1
            return []
        return self._met(peer, now) if self._roster.learn_disco(peer, key) else []

    def _met(self, peer: MeshPeer, now: float) -> list[Action]:
        """From now on the peer understands our pings, and we its own."""
        actions: list[Action] = []
        if peer.is_active(now):
            search = peer.paths.reset if peer.is_relayed else peer.paths.ping_now
            actions += self._talk.perform(peer, search(now), now)
        else:  # the peer wants something of us: let it know at once where we can be reached
            actions += self._talk.call(peer, now)
        for ask in self._talk.asks.unsent(peer.key):
            actions += self._talk.ask(ask, peer, now)
        return actions
