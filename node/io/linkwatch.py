"""The machine's links, watched: which addresses can be told to peers, and when all that has changed.

The kernel announces every change of a link, an address or a route (rtnetlink groups). Bursts are
normal, so we look once things have been quiet for a moment, and speak only when the picture differs:
a route of our own TUN device is no news, a default route by another interface is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from msgspec import Struct

from node.core.own_endpoints import choose_local
from node.io.loop import READ, Loop, Timer
from node.io.rtnetlink import DefaultRoute, Netlink, changes_socket

QUIET = 0.05  # seconds without a further change before we look
LATEST = 0.5  # seconds after the first change: look even so


class Links(Struct, frozen=True):
    """The picture: our addresses on links that carry, those worth telling, and the ways out."""

    local: tuple[str, ...]
    default_routes: frozenset[DefaultRoute]


OnChange = Callable[[Links, Links], None]  # before and now


def look(except_index: int | None) -> Links:
    with Netlink() as netlink:
        carrying = {link.index for link in netlink.links() if link.carries} - {except_index}
        addresses = [each.address for each in netlink.addresses() if each.index in carrying]
        routes = [each for each in netlink.default_routes() if each.index in carrying]
    return Links(tuple(choose_local(addresses)), frozenset(routes))


class LinkWatch:
    def __init__(self, loop: Loop, tun_index: int, on_change: OnChange) -> None:
        self._loop, self._tun_index, self._on_change = loop, tun_index, on_change
        self._socket = changes_socket()
        self._timer: Timer | None = None
        self._first = 0.0
        self.links = look(tun_index)
        loop.watch(self._socket.fileno(), READ, self._changed)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop.forget(self._socket.fileno())
        self._socket.close()

    def _changed(self, _events: int) -> None:
        with contextlib.suppress(OSError):  # drained, or more was announced than the kernel keeps
            while self._socket.recv(1 << 16):
                pass
        now = self._loop.now()
        if self._timer is None:
            self._first = now
        else:
            self._timer.cancel()
        self._timer = self._loop.at(min(now + QUIET, self._first + LATEST), self._look)

    def _look(self) -> None:
        self._timer = None
        links = look(self._tun_index)
        if links != self.links:
            before, self.links = self.links, links
            self._on_change(before, links)
