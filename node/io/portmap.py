"""The router, asked for a port: its address from the routing table, a socket to it, its web server.

Also listens where routers announce that they have restarted (RFC 6886 §3.2.1): multicast to all hosts,
port 5350. Several programs of a machine share that port.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import Struct

from node.core.portmap import PortMapping
from node.core.portmap_outputs import (
    HttpRequest,
    Output,
    Place,
    PortMapped,
    PortMappingLost,
    PortMappingRefused,
    Send,
    SendToGateway,
)
from node.io.http_call import HttpCall
from node.io.loop import READ, Loop, Timer
from node.io.rtnetlink import Netlink
from node.wire.endpoint import Endpoint
from node.wire.http_response import HttpResponse

ANNOUNCEMENTS = 5350
Receive = Callable[[bytes, Endpoint, float], list[Output]]

DATAGRAM = 4096
BATCH = 16  # datagrams a read: a router that says more can wait
GIVE_BACK_WITHIN = 1.0  # seconds that a stopping node waits for a router that does not answer
DISCARD = 9  # a port to "connect" to, which sends nothing and shows our own address


class State(Struct, frozen=True):
    """The last thing that happened, for people."""

    protocol: str
    external: Endpoint | None
    why: str

    def fields(self) -> dict[str, str | None]:
        external = str(self.external) if self.external else None
        return {"protocol": self.protocol, "external": external, "why": self.why}


class PortMapper:
    """`on_state` is called with each change: mapped, lost, refused. A silent router is no change."""

    def __init__(
        self, loop: Loop, port: int, lifetime: int, on_state: Callable[[State], None]
    ) -> None:
        self._loop, self._port, self._on_state = loop, port, on_state
        self._core = PortMapping(os.urandom, lifetime)
        self._socket: socket.socket | None = None
        self._own: str | None = None
        self._announcements = _hear_announcements()
        self._calls: dict[int, HttpCall] = {}
        self._timer: Timer | None = None
        self._then: Callable[[], None] | None = None  # what waits for the port to be given back
        self.state: State | None = None
        if self._announcements is not None:
            fd = self._announcements.fileno()
            loop.watch(fd, READ, partial(self._readable, self._announcements, self._announced))

    @property
    def counters(self) -> Counter[str]:
        return self._core.counters

    def look(self) -> None:
        """At the start, and when a link has changed: who is our router now?"""
        place = find_place(self._port)
        self._rebind(place.own.address if place else None)
        self._perform(self._core.start(place, self._loop.now()))

    def give_back(self, then: Callable[[], None]) -> None:
        """The port, to the router; then whatever is to be done once it has heard of it."""
        sends = self._core.stop()
        self._cancel_calls()
        self._perform(sends)
        self._then = then
        if self._calls:
            self._loop.at(self._loop.now() + GIVE_BACK_WITHIN, self._given_back)
        else:
            self._given_back()

    def _given_back(self) -> None:
        then, self._then = self._then, None
        if then is not None:
            then()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._cancel_calls()
        self._rebind(None)
        if self._announcements is not None:
            self._loop.forget(self._announcements.fileno())
            self._announcements.close()
            self._announcements = None

    def _rebind(self, own: str | None) -> None:
        if own == self._own:
            return
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
        self._cancel_calls()
        self._own, self._socket = own, None if own is None else _bind(own)
        if self._socket is not None:
            fd = self._socket.fileno()
            hear = partial(self._readable, self._socket, self._core.receive)
            self._loop.watch(fd, READ, hear)

    def _cancel_calls(self) -> None:
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()

    def _readable(self, bound: socket.socket, receive: Receive, _events: int) -> None:
        for _ in range(BATCH):
            try:
                datagram, (address, port) = bound.recvfrom(DATAGRAM)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error about something we sent
                continue
            source = Endpoint(address, port)
            self._perform(receive(datagram, source, self._loop.now()))
            if bound.fileno() < 0:
                return

    def _announced(self, _datagram: bytes, source: Endpoint, now: float) -> list[Output]:
        return self._core.receive_announcement(source, now)

    def _perform(self, outputs: Sequence[Output | Send]) -> None:
        for output in outputs:
            match output:
                case SendToGateway(datagram, to):
                    with contextlib.suppress(OSError):  # it will be sent again
                        if self._socket is not None:
                            self._socket.sendto(datagram, to)
                case HttpRequest(number, to, data):
                    answered = partial(self._answered, number)
                    self._calls[number] = HttpCall(self._loop, to, data, answered)
                case PortMapped(endpoint, protocol, why):
                    self._tell(State(protocol, endpoint, why))
                case PortMappingLost(protocol, why) | PortMappingRefused(protocol, why):
                    self._tell(State(protocol, None, why))
        self._arm()

    def _answered(self, number: int, response: HttpResponse | None) -> None:
        self._calls.pop(number, None)
        self._perform(self._core.receive_http(number, response, self._loop.now()))
        if not self._calls:
            self._given_back()

    def _tell(self, state: State) -> None:
        self.state = state
        self._on_state(state)

    def _arm(self) -> None:
        deadline = self._core.deadline
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if deadline is None else self._loop.at(deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._perform(self._core.tick(self._loop.now()))


def find_place(port: int) -> Place | None:
    """The first IPv4 default route's gateway: the kernel lists the one that it uses first."""
    with Netlink() as netlink:
        gateways = [route.gateway for route in netlink.default_routes() if route.gateway]
    gateway = next((each for each in gateways if ":" not in each), None)
    if gateway is None:
        return None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((gateway, DISCARD))
        except OSError:
            return None
        own: str = probe.getsockname()[0]
    return Place(gateway, Endpoint(own, port))


def _bind(own: str) -> socket.socket | None:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        bound.bind((own, 0))
        bound.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
    except OSError:  # the address has just gone; the link watch will tell
        bound.close()
        return None
    return bound


def _hear_announcements() -> socket.socket | None:
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("", ANNOUNCEMENTS))  # every interface is in the group of all hosts
    except OSError:
        bound.close()
        return None
    return bound
