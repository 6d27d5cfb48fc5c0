"""MAC1, MAC2 and cookies: what a handshake message shows before anything expensive is done with it
(WireGuard paper §5.3, §5.4.4, §5.4.7).

MAC1 proves that the sender knows our public key. Under load that is not enough: we answer with a cookie,
a MAC of the sender's source under a secret of two minutes, and take only messages whose MAC2 is made
with it. So a flood from forged sources is answered with small replies, and costs no key agreement.
The last 32 bytes of a handshake message are its MAC1 and MAC2.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest

from node.core.aead import xopen, xseal
from node.core.limits import COOKIE_MARGIN, Limits
from node.core.noise import hash_of, mac
from node.keys import NodePublic
from node.wire.wireguard import COOKIE_NONCE_SIZE, MAC_SIZE, MACS_SIZE, NO_MAC, CookieReply

_LABEL_MAC1 = b"mac1----"
_LABEL_COOKIE = b"cookie--"


class CookieChecker:
    """The side that is asked: checks MACs and hands out cookies."""

    def __init__(self, public: NodePublic, random: Callable[[int], bytes], limits: Limits) -> None:
        self._mac1_key = hash_of(_LABEL_MAC1, public.raw)
        self._cookie_key = hash_of(_LABEL_COOKIE, public.raw)
        self._random = random
        self._limits = limits
        self._secret = b""
        self._secret_until = float("-inf")

    def has_mac1(self, message: bytes) -> bool:
        expected = mac(self._mac1_key, message[:-MACS_SIZE])
        return compare_digest(expected, message[-MACS_SIZE:-MAC_SIZE])

    def has_mac2(self, message: bytes, source: bytes, now: float) -> bool:
        if now >= self._secret_until:
            return False
        expected = mac(self._cookie(source), message[:-MAC_SIZE])
        return compare_digest(expected, message[-MAC_SIZE:])

    def reply(self, message: bytes, source: bytes, now: float) -> bytes:
        """A cookie reply, sealed so that only who saw this very message can read it."""
        if now >= self._secret_until:
            self._secret = self._random(32)
            self._secret_until = now + self._limits.cookie_time
        nonce = self._random(COOKIE_NONCE_SIZE)
        mac1 = message[-MACS_SIZE:-MAC_SIZE]
        sealed = xseal(self._cookie_key, nonce, self._cookie(source), mac1)
        return CookieReply(int.from_bytes(message[4:8], "little"), nonce, sealed).pack()

    def _cookie(self, source: bytes) -> bytes:
        return mac(self._secret, source)


class CookieJar:
    """The side that asks: signs handshake messages to one peer, and keeps that peer's cookie."""

    def __init__(self, peer: NodePublic, limits: Limits) -> None:
        self._mac1_key = hash_of(_LABEL_MAC1, peer.raw)
        self._cookie_key = hash_of(_LABEL_COOKIE, peer.raw)
        self._good_for = max(limits.cookie_time - COOKIE_MARGIN, 0.0)
        self._last_mac1: bytes | None = None
        self._cookie = b""
        self._good_until = float("-inf")

    def sign(self, message: bytes, now: float) -> bytes:
        """The packed message with its MACs filled in."""
        body = message[:-MACS_SIZE]
        mac1 = mac(self._mac1_key, body)
        self._last_mac1 = mac1
        mac2 = mac(self._cookie, body + mac1) if now < self._good_until else NO_MAC
        return body + mac1 + mac2

    def consume(self, reply: CookieReply, now: float) -> bool:
        """Keeps the cookie for the next message; the answer to a message we did not send is refused."""
        if self._last_mac1 is None:
            return False
        cookie = xopen(self._cookie_key, reply.nonce, reply.sealed_cookie, self._last_mac1)
        if cookie is None:
            return False
        self._last_mac1 = None  # one reply a message: replayed, it would keep an old cookie alive
        self._cookie = cookie
        self._good_until = now + self._good_for
        return True
