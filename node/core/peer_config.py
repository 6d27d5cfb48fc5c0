"""What a peer is told to be, and what can be told of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.keys import NodePublic


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """A peer as `wg set` would describe it; `persistent_keepalive` in seconds."""

    key: NodePublic
    allowed_ips: tuple[str, ...]
    preshared_key: bytes = field(default=bytes(32), repr=False)
    persistent_keepalive: float | None = None


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """A peer as `wg show` would; bytes are those of WireGuard's messages."""

    key: NodePublic
    last_handshake: float | None
    """On the clock of `now`; None before the first one."""
    rx_bytes: int
    tx_bytes: int
    has_session: bool
