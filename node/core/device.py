"""A WireGuard device: all peers behind one private key. Packets in, datagrams out, and back.

See "WireGuard: Next Generation Kernel Network Tunnel" (the WireGuard paper).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from node.core.device_outputs import (
    Deliver,
    HandshakeCompleted,
    Heard,
    Output,
    Reply,
    Source,
    Transmit,
)
from node.keys import NodePrivate, NodePublic

__all__ = [
    "Deliver",
    "Device",
    "HandshakeCompleted",
    "Heard",
    "Output",
    "PeerConfig",
    "PeerStatus",
    "Reply",
    "Source",
    "Transmit",
]


@dataclass(frozen=True, slots=True)
class PeerConfig:
    key: NodePublic
    allowed_ips: tuple[str, ...]
    preshared_key: bytes = bytes(32)
    persistent_keepalive: float | None = None


@dataclass(frozen=True, slots=True)
class PeerStatus:
    key: NodePublic
    last_handshake: float | None
    rx_bytes: int
    tx_bytes: int
    has_session: bool


class Device:
    def __init__(
        self,
        private: NodePrivate,
        *,
        random: Callable[[int], bytes],
        epoch: float,
        mtu: int = 1280,
    ) -> None:
        self.public = private.public
        self.counters: Counter[str] = Counter()

    @property
    def deadline(self) -> float | None:
        return None

    def set_peers(self, peers: Iterable[PeerConfig], now: float) -> list[Output]:
        raise NotImplementedError

    def send(self, packets: Sequence[bytes], now: float) -> list[Output]:
        raise NotImplementedError

    def receive(self, datagrams: Sequence[bytes], source: Source, now: float) -> list[Output]:
        raise NotImplementedError

    def initiate(self, peer: NodePublic, now: float, *, renew: bool = False) -> list[Output]:
        """Start a handshake, unless keys are there; with `renew`, even then. Never twice in 5 s."""
        raise NotImplementedError

    def tick(self, now: float) -> list[Output]:
        raise NotImplementedError

    def peer_status(self, peer: NodePublic) -> PeerStatus:
        raise NotImplementedError
