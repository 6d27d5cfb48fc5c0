"""Pings that a person asked for: several go out for one question, and the first pong answers it."""

from __future__ import annotations

from msgspec import Struct

from node.core.actions import Answered
from node.core.ways import Way
from node.keys import NodePublic

PATIENCE = 10.0  # seconds; whoever asks gives up before
MOST = 256  # questions open at once; the oldest is forgotten


class _Sent(Struct, frozen=True):
    """One ping for an ask, and where it went."""

    ask: int
    via: Way | int
    at: float


class _Ask(Struct):
    """A person's question, since when."""

    peer: NodePublic
    at: float
    was_sent: bool = False


class Asks:
    def __init__(self) -> None:
        self._asks: dict[int, _Ask] = {}
        self._sent: dict[bytes, _Sent] = {}

    def __len__(self) -> int:
        return len(self._asks)

    @property
    def deadline(self) -> float | None:
        oldest = next(iter(self._asks.values()), None)
        return oldest.at + PATIENCE if oldest else None

    def open(self, ask: int, peer: NodePublic, now: float) -> None:
        self._asks[ask] = _Ask(peer, now)
        if len(self._asks) > MOST:
            self._close(next(iter(self._asks)))

    def unsent(self, peer: NodePublic) -> list[int]:
        """Those that wait until the peer's disco key is known."""
        return [each for each, ask in self._asks.items() if ask.peer == peer and not ask.was_sent]

    def sent(self, ask: int, txid: bytes, via: Way | int, now: float) -> None:
        if ask in self._asks:
            self._asks[ask].was_sent = True
            self._sent[txid] = _Sent(ask, via, now)

    def receive_pong(self, txid: bytes, peer: NodePublic, now: float) -> Answered | None:
        sent = self._sent.get(txid)
        ask = self._asks.get(sent.ask) if sent else None
        if sent is None or ask is None or ask.peer != peer:
            return None
        self._close(sent.ask)
        return Answered(sent.ask, peer, sent.via, now - sent.at)

    def tick(self, now: float) -> None:
        for ask in [each for each, value in self._asks.items() if value.at + PATIENCE <= now]:
            self._close(ask)

    def _close(self, ask: int) -> None:
        del self._asks[ask]
        self._sent = {txid: sent for txid, sent in self._sent.items() if sent.ask != ask}
