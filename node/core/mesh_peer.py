"""One peer as the mesh sees it: its netmap entry, and what was learned about it since."""

from __future__ import annotations

from msgspec import Struct, field

from node.core.path_outputs import Relayed
from node.core.paths import Paths
from node.keys import DiscoPublic, NodePublic
from node.netmap import Peer
from node.wire.endpoint import Endpoint

ACTIVE = 45.0  # seconds after the last packet that a peer counts as in use
REPAIR_GAP = 5.0  # seconds between attempts to bring two ends together that know too little


class MeshPeer(Struct):
    """A peer of ours, and what was learned of it."""

    config: Peer
    paths: Paths
    disco: DiscoPublic | None
    active_until: float = float("-inf")
    heard_until: float = float("-inf")  # as long, but since anything authenticated came
    unanswered: int = 0  # initiations sent since anything authenticated was heard
    heard_region: int | None = None  # the relay through which it last reached us
    gone: dict[int, float] = field(default_factory=dict)  # relays that do not know it, until when
    repair_at: float = float("-inf")  # not before
    shown: tuple[str, str] | None = None  # the path last told in an event: kind and via
    roamed: Endpoint | None = None  # of a plain peer: where it was last heard

    @property
    def key(self) -> NodePublic:
        return self.config.node_key

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def is_plain(self) -> bool:
        """Plain WireGuard, with neither relay nor disco: it is where it was last heard."""
        return self.config.home_region == 0

    @property
    def plain_endpoint(self) -> Endpoint | None:
        return self.roamed or next(iter(self.config.endpoints), None)

    def is_active(self, now: float) -> bool:
        return now < self.active_until

    def cares(self, now: float) -> bool:
        """One of us wants something of the other: where we are is news to it."""
        return now < self.active_until or now < self.heard_until

    def heard(self, now: float) -> None:
        self.unanswered = 0
        self.heard_until = now + ACTIVE

    def used(self, now: float) -> None:
        self.active_until = now + ACTIVE

    def may_repair(self, now: float) -> bool:
        """True at most once in a while; asking is doing."""
        if now < self.repair_at:
            return False
        self.repair_at = now + REPAIR_GAP
        return True

    @property
    def is_relayed(self) -> bool:
        return isinstance(self.paths.path, Relayed)
