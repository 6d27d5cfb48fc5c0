"""The timers of one peer, told by what happened and not by what to do (WireGuard paper §6).

RETRANSMIT     a handshake is wanted and not answered: send an initiation (again)
KEEPALIVE      data came and nothing went back for 10 s: send an empty message
NEW_HANDSHAKE  data went out and nothing came back for 15 s: the keys may be dead, make new ones
WIPE           no new keys for 540 s: forget all there are
PERSISTENT     nothing went either way for the interval the peer's configuration asks for
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, auto

from node.core.limits import JITTER, Limits


class Timer(IntEnum):  # asked several times a batch, and hashes as fast as a number
    RETRANSMIT = auto()
    KEEPALIVE = auto()
    NEW_HANDSHAKE = auto()
    WIPE = auto()
    PERSISTENT = auto()


class Timers:
    def __init__(self, limits: Limits, random: Callable[[int], bytes]) -> None:
        self._limits = limits
        self._random = random
        self._due: dict[Timer, float] = {}
        self._persistent: float | None = None
        self._spread = 0.0  # s, of NEW_HANDSHAKE: one for each session

    @property
    def deadline(self) -> float | None:
        return min(self._due.values(), default=None)

    def pending(self, timer: Timer) -> bool:
        return timer in self._due

    def expired(self, now: float) -> list[Timer]:
        """The timers whose time has come, taken off; in the order of their definition."""
        due = [timer for timer in Timer if self._due.get(timer, now + 1) <= now]
        for timer in due:
            del self._due[timer]
        return due

    def data_sent(self, now: float) -> None:
        if Timer.NEW_HANDSHAKE not in self._due:
            self._due[Timer.NEW_HANDSHAKE] = now + self._limits.new_handshake_after + self._spread

    def data_received(self, now: float) -> None:
        self._due.setdefault(Timer.KEEPALIVE, now + self._limits.keepalive_timeout)

    def authenticated_sent(self, now: float) -> None:
        self._due.pop(Timer.KEEPALIVE, None)
        self._traversed(now)

    def authenticated_received(self, now: float) -> None:
        self._due.pop(Timer.NEW_HANDSHAKE, None)
        self._traversed(now)

    def handshake_wanted(self, not_before: float) -> None:
        """An initiation was sent, or may not be sent yet: when the next one may."""
        self._due[Timer.RETRANSMIT] = not_before + self._jitter()

    def handshake_ended(self) -> None:
        """Completed, or given up."""
        self._due.pop(Timer.RETRANSMIT, None)

    def session_derived(self, now: float) -> None:
        self._due[Timer.WIPE] = now + self._limits.wipe_after
        self._spread = self._jitter()

    def keep_alive_persistently(self, interval: float | None, now: float) -> None:
        self._persistent = interval
        self._due.pop(Timer.PERSISTENT, None)
        self._traversed(now)

    def _traversed(self, now: float) -> None:
        if self._persistent:
            self._due[Timer.PERSISTENT] = now + self._persistent

    def _jitter(self) -> float:
        return int.from_bytes(self._random(2), "big") / 0x10000 * JITTER
