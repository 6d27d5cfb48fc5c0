"""A peer's sessions by their place in life: next, current, previous (WireGuard paper §6.3).

A responder's new session is `next` until the initiator has used it: only then does the responder know
that the initiator has the keys too, and may send with them. An initiator's is `current` at once. Old
ones are kept for packets still on their way; sessions that fall out are returned, to be forgotten.
"""

from __future__ import annotations

from node.core.limits import PREVIOUS_SESSIONS
from node.core.session import Session


class Keypairs:
    def __init__(self) -> None:
        self.next: Session | None = None
        self.current: Session | None = None
        self.previous: list[Session] = []  # the newest first

    def initiated(self, session: Session) -> list[Session]:
        """Our initiation was answered: this is what we send with from now on."""
        # An unconfirmed `next` of a handshake that crossed ours: the peer may be sending on it.
        retired = [s for s in (self.next, self.current) if s is not None]
        self.next, self.current = None, session
        return self._retire(retired)

    def responded(self, session: Session) -> list[Session]:
        """We answered an initiation: the session waits for the first message on it."""
        replaced, self.next = self.next, session
        return [] if replaced is None else [replaced]

    def confirmed(self) -> list[Session]:
        """The first message on `next` came."""
        retired = [] if self.current is None else [self.current]
        self.current, self.next = self.next, None
        return self._retire(retired)

    def wiped(self) -> list[Session]:
        every = [s for s in (self.next, self.current, *self.previous) if s is not None]
        self.next, self.current, self.previous = None, None, []
        return every

    def _retire(self, sessions: list[Session]) -> list[Session]:
        kept = sessions + self.previous
        self.previous = kept[:PREVIOUS_SESSIONS]
        return kept[PREVIOUS_SESSIONS:]
