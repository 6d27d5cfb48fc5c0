"""Whether anybody uses any path: our surroundings are only watched while somebody does."""

from __future__ import annotations

from collections.abc import Sequence

from node.core.actions import Action
from node.core.mesh_peer import ACTIVE, MeshPeer
from node.core.surroundings import News, Surroundings


class Activity:
    def __init__(self, surroundings: Surroundings) -> None:
        self.deadline: float | None = None  # when all peers will be idle; None when they are
        self._surroundings = surroundings

    def used(self, peer: MeshPeer, now: float) -> Sequence[Action | News]:
        peer.used(now)
        was_idle, self.deadline = self.deadline is None, now + ACTIVE
        return self._surroundings.set_active(True, now) if was_idle else ()

    def tick(self, now: float) -> Sequence[Action | News]:
        if self.deadline is None or now < self.deadline:
            return ()
        self.deadline = None
        return self._surroundings.set_active(False, now)
