"""The STUN server beside a relay: tells each client which address and port it is seen at.

Strict as the real ones are: only requests from clients of DERP relays are answered.
"""

from __future__ import annotations

import socket
from collections import Counter

from node.io.loop import READ, Loop
from node.wire import stun
from node.wire.endpoint import Endpoint
from node.wire.malformed import Malformed

BATCH = 64  # datagrams before other descriptors get their turn
V4_MAPPED = "::ffff:"


class StunServer:
    def __init__(self, loop: Loop, address: str, port: int, strict: bool = True) -> None:
        """Raises OSError when the port cannot be had."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.counters: Counter[str] = Counter()
        self._loop, self._strict = loop, strict
        self._udp = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            if family == socket.AF_INET6:
                self._udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
            self._udp.bind((address, port))
        except OSError:
            self._udp.close()
            raise
        loop.watch(self._udp.fileno(), READ, self._readable)

    @property
    def port(self) -> int:
        return int(self._udp.getsockname()[1])

    def close(self) -> None:
        self._loop.forget(self._udp.fileno())
        self._udp.close()

    def _readable(self, _events: int) -> None:
        for _ in range(BATCH):
            try:
                datagram, source = self._udp.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error of an earlier answer
                self.counters["read_error"] += 1
                return
            self._answer(datagram, source)

    def _answer(self, datagram: bytes, source: tuple[str, int]) -> None:
        try:
            txid = stun.parse_request(datagram, self._strict)
        except Malformed:
            self.counters["not_stun"] += 1
            return
        self.counters["ipv4" if "." in source[0] else "ipv6"] += 1
        address = source[0].removeprefix(V4_MAPPED) if "." in source[0] else source[0]
        try:
            self._udp.sendto(stun.response(txid, Endpoint(address, source[1])), source)
            self.counters["success"] += 1
        except OSError:
            self.counters["write_error"] += 1
