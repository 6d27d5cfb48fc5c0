"""What a peer is told to be, and what can be told of it."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from node.keys import NodePublic
from node.veiled import Veiled


class PeerConfig(Veiled, frozen=True):
    """A peer as `wg set` would describe it; `persistent_keepalive` in seconds."""

    veiled: ClassVar = ("preshared_key",)
    key: NodePublic
    allowed_ips: tuple[str, ...]
    preshared_key: bytes = bytes(32)
    persistent_keepalive: float | None = None


class PeerStatus(Struct, frozen=True):
    """A peer as `wg show` would; bytes are those of WireGuard's messages."""

    key: NodePublic
    last_handshake: float | None
    """On the clock of `now`; None before the first one."""
    rx_bytes: int
    tx_bytes: int
    has_session: bool
