"""Relays of one region as one: what a relay tells the others, hears from them, and does for them.

A relay that knows the mesh key watches: it is told about every client that is here, and about all who
come and go. What the others tell us makes them *forwarders* of their clients' packets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

from node.core.metrics import Histogram
from node.core.relay_link import Link, Output, Send
from node.core.relay_registry import Registry
from node.keys import NodePublic
from node.wire import derp
from node.wire.malformed import Malformed

UPDATES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)  # clients told of in one write


def need_mesh(link: Link, frame: str) -> None:
    if not link.mesh:
        raise Malformed(f"{frame}: from a client without the mesh key")


def present(link: Link) -> bytes:
    """The frame that says that this client is here."""
    assert link.key is not None
    flags = derp.PeerFlag.MESH_PEER if link.mesh else derp.PeerFlag.REGULAR
    if link.prober:
        flags |= derp.PeerFlag.PROBER
    if not link.ideal:
        flags |= derp.PeerFlag.NOT_IDEAL
    return derp.PeerPresent(link.key, link.source, flags).pack()


class RelayMesh:
    def __init__(self, registry: Registry, counters: Counter[str]) -> None:
        self._registry, self._counters = registry, counters
        self.updates = Histogram(UPDATES)  # clients that one write to a watcher tells of

    def watch(self, link: Link) -> list[Output]:
        """WatchConns: first all who are here, then the changes."""
        if link.watches:
            return []
        link.watches = True
        self._registry.watchers[link] = None
        here = [present(each) for each in self._registry.links()]
        self.updates.count(len(here))
        return [Send(link, b"".join(here))]

    def tell_watchers(self, frame: bytes) -> list[Output]:
        for _ in self._registry.watchers:
            self.updates.count(1)
        return [Send(watcher, frame) for watcher in self._registry.watchers]

    def tell_gone(self, key: bytes) -> list[Output]:
        """To each client that was given packets of this key, once nobody in the region has it."""
        listeners = self._registry.take_listeners(key)
        self._counters["peer_gone_disconnected_frames"] += len(listeners)
        gone = derp.PeerGone(NodePublic(key)).pack()
        return [Send(listener, gone) for listener in listeners]

    # --- what another relay says ---

    def peer_present(self, forwarder: Hashable, peer: NodePublic) -> None:
        self._registry.add_forwarder(peer.raw, forwarder)

    def peer_gone(self, forwarder: Hashable, peer: NodePublic) -> list[Output]:
        self._registry.remove_forwarder(peer.raw, forwarder)
        return self.tell_gone(peer.raw)

    def lost(self, forwarder: Hashable) -> list[Output]:
        """The connection to it ended: nothing it said holds any more."""
        outputs: list[Output] = []
        for key in self._registry.keys_of(forwarder):
            outputs += self.peer_gone(forwarder, NodePublic(key))
        return outputs
