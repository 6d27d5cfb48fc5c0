"""Who may have a handshake message looked at: MAC1 always; under load a cookie, and a fair share each.

It stands before the first key agreement (WireGuard paper §5.3).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from node.core.cookies import CookieChecker
from node.core.device_outputs import Reply, Source
from node.core.limits import Limits
from node.core.load import LoadMeter, RateLimiter
from node.keys import NodePublic
from node.wire.endpoint import Endpoint


class Door:
    def __init__(
        self,
        public: NodePublic,
        *,
        random: Callable[[int], bytes],
        limits: Limits,
        counters: Counter[str],
    ) -> None:
        self._checker = CookieChecker(public, random, limits)
        self._load = LoadMeter()
        self._rate = RateLimiter()
        self._counters = counters

    def admit(self, datagram: bytes, source: Source, now: float) -> bool | Reply:
        """True: go on. False: drop it. A reply: send that and drop it."""
        if not self._checker.has_mac1(datagram):
            self._counters["bad_mac1"] += 1
            return False
        if not self._load.handshake_received(now):
            return True
        seen_from = repr(source).encode()
        if not self._checker.has_mac2(datagram, seen_from, now):
            self._counters["cookie_sent"] += 1
            return Reply(source, [self._checker.reply(datagram, seen_from, now)])
        if not self._rate.allow(_origin(source), now):
            self._counters["handshake_rate"] += 1
            return False
        return True


def _origin(source: Source) -> str:
    """Who shares one allowance: all ports of an address."""
    return source.address if isinstance(source, Endpoint) else repr(source)
