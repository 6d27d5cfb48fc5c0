"""Every number of the WireGuard core. First the specification's, then our own.

`Limits` holds the times that a test or an interop run may shorten; the defaults are the specification's.
"""

from __future__ import annotations

from msgspec import Struct

# Specification (WireGuard paper §6.1)

REKEY_AFTER_MESSAGES = 2**60
REJECT_AFTER_MESSAGES = 2**64 - 2**13 - 1
REPLAY_WINDOW = 8128  # RFC 6479: 128 blocks of 64 bits, one of them in transition


class Limits(Struct, frozen=True):
    """Seconds."""

    rekey_after_time: float = 120.0
    reject_after_time: float = 180.0
    rekey_attempt_time: float = 90.0
    rekey_timeout: float = 5.0
    keepalive_timeout: float = 10.0
    cookie_time: float = 120.0  # how long a cookie, and the secret behind it, is good

    @property
    def new_handshake_after(self) -> float:
        """Data sent and nothing heard for so long: the peer has lost its keys, or is away."""
        return self.keepalive_timeout + self.rekey_timeout

    @property
    def rekey_on_receive_after(self) -> float:
        """An initiator that only receives renews before the keys die under the peer's hands."""
        return self.reject_after_time - self.keepalive_timeout - self.rekey_timeout

    @property
    def wipe_after(self) -> float:
        return 3 * self.reject_after_time


# Ours, or customary among implementations

JITTER = 1 / 3  # s added at random to retransmissions, so that two peers fall out of step
INITIATION_INTERVAL = 0.020  # s: a peer that initiates faster floods
COOKIE_MARGIN = 5.0  # s: a cookie that old is not used, for it would expire on the way
QUEUED_BATCHES = 128  # batches of packets that wait for a handshake; then the oldest goes
PREVIOUS_SESSIONS = 2  # after both initiate at once, each side may send on another key for a while

LOAD_HANDSHAKES = (
    128  # handshake messages within one second are "under load": about 50 ms of our time
)
LOAD_LASTS = 1.0  # s
HANDSHAKES_PER_SECOND = 20  # under load, for each source
HANDSHAKE_BURST = 5
SOURCES_REMEMBERED = 4096  # a flood of sources must not become a flood of memory
