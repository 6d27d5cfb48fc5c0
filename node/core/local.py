"""Our end of all tunnels: what the peers of one device share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from node.core.allowed_ips import AllowedIps
from node.core.indices import Indices
from node.core.limits import Limits
from node.core.segments import PlainSegments, Segments
from node.core.session import Session
from node.core.tai64n import tai64n
from node.core.tun_features import NO_OFFLOAD, TunFeatures
from node.keys import NodePrivate, clamp

if TYPE_CHECKING:
    from node.core.peer import Peer


class Local:
    def __init__(
        self,
        private: NodePrivate,
        *,
        random: Callable[[int], bytes],
        epoch: float,
        mtu: int,
        limits: Limits,
        log_keys: bool = False,
    ) -> None:
        self.private = private
        self.public = private.public
        self.random = random
        self.mtu = mtu
        self.limits = limits
        self.log_keys = log_keys
        self.counters: Counter[str] = Counter()
        self.allowed_ips: AllowedIps[Peer] = AllowedIps()
        self.indices: Indices[tuple[Peer, Session | None]] = Indices(random)
        """Whose, and which session; None while the handshake waits for its response."""
        self.features: TunFeatures = NO_OFFLOAD
        self.segments: Segments = PlainSegments(mtu, NO_OFFLOAD)
        self._epoch = epoch

    def timestamp(self, now: float) -> bytes:
        return tai64n(self._epoch + now)

    def ephemeral(self) -> bytes:
        return clamp(self.random(32))

    def forget(self, sessions: Iterable[Session]) -> None:
        for session in sessions:
            self.indices.release(session.local_index)
