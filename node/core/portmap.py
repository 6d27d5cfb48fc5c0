"""A port of the router's, mapped to ours: asked for, kept, and given back.

    searching -- found --> asking -- granted --> holding -- half its life --> asking
        ^                    |                      |
        +------ refused -----+                      +-- every minute: does the router still know?

The router is searched by all protocols at once. NAT-PMP and PCP are asked as soon as they answer; UPnP
only when they are silent, for it takes four round trips and its routers are the worse ones. A mapping
that cannot be renewed is used until its time is over, then withdrawn.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network
from itertools import count
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from node.core.portmap_outputs import (
    NO_ADDRESS,
    Alive,
    Finding,
    Forgotten,
    Found,
    Gone,
    Granted,
    HttpRequest,
    Output,
    Place,
    PortMapped,
    PortMappingLost,
    PortMappingRefused,
    Refused,
    Send,
    SendToGateway,
    Service,
)
from node.core.portmap_udp import NatPmp, Pcp
from node.core.portmap_upnp import Upnp
from node.wire import natpmp
from node.wire.endpoint import Endpoint
from node.wire.http_response import HttpResponse
from node.wire.malformed import Malformed

ANSWER_WITHIN = 0.25  # seconds; a router is near. Then again, after twice as long (RFC 6886 §3.1)
TRIES = 3
ASK_AT_MOST = 5.0  # seconds for a mapping, all its calls together
CONFIRMED_WITHIN = 30.0  # seconds that a mapping outlives a change of our link, unless confirmed
SEEN_LATELY = 600.0  # seconds after which a protocol is no longer asked without a search
CHECK_EVERY = 60.0  # seconds; a router that restarts tells nobody who was not listening
SEARCH_AGAIN, SEARCH_SELDOM = 30.0, 600.0  # seconds between searches in vain: doubling
LEAST_RETRY = 4.0  # seconds between attempts to renew (RFC 6887 §11.2.1)
LEAST_LIFE, LONGEST_LIFE = 2.0, 86400.0  # seconds that we believe of a router
CARRIERS = IPv4Network("100.64.0.0/10")


class Searching(Struct):
    """For a gateway that maps ports."""

    due: float
    tries: int = 1
    found: Service | None = None  # one that waits for others


class Asking(Struct):
    """It was found; the mapping is asked for until the time is up."""

    service: Service
    due: float
    until: float
    gap: float = ANSWER_WITHIN


class Holding(Struct):
    """`tries` of a check that is under way, else 0."""

    service: Service
    due: float
    tries: int = 0


class Resting(Struct):
    """Nothing came of it; again later."""

    due: float


Phase: TypeAlias = Searching | Asking | Holding | Resting


class Mapping(Struct, frozen=True):
    """We have one; half way through its life it is renewed."""

    service: Service
    external: Endpoint
    renew_at: float
    expires: float


class PortMapping:
    def __init__(self, random: Callable[[int], bytes], lifetime: int = natpmp.LIFETIME) -> None:
        self._random, self._lifetime = random, lifetime
        self._numbers = count(1)
        self._place: Place | None = None
        self._phase: Phase = Resting(math.inf)
        self._services: list[Service] = []
        self._refusals: dict[str, str] = {}  # of this round, by protocol
        self._told: tuple[str, str] | None = None  # the refusal that was told last
        self._wait = SEARCH_AGAIN
        self._seen: tuple[Service, float] | None = None  # who granted last, and when
        self._mapping: Mapping | None = None
        self.counters: Counter[str] = Counter()

    @property
    def deadline(self) -> float | None:
        due = min(self._phase.due, self._mapping.expires if self._mapping else math.inf)
        return due if due < math.inf else None

    @property
    def mapped(self) -> Endpoint | None:
        return self._mapping.external if self._mapping else None

    # --- what happens ---

    def start(self, place: Place | None, now: float) -> list[Output]:
        """Where we are now. The same place again: perhaps all is new there, so everything is asked."""
        outputs: list[Output] = []
        if place != self._place:
            outputs += self._lose("another network")
            self._place, self._services, self._seen, self._told = place, [], None, None
            if place is not None:
                nonce = self._random(12)
                upnp = Upnp(place, self._random, self._numbers)
                self._services = [NatPmp(place), Pcp(place, nonce), upnp]
        self._refusals, self._wait = {}, SEARCH_AGAIN
        if place is None:
            self._phase = Resting(math.inf)
            return outputs
        if self._mapping is not None:
            expires = min(self._mapping.expires, now + CONFIRMED_WITHIN)
            self._mapping = replace(self._mapping, expires=expires)
        if self._seen is not None and now < self._seen[1] + SEEN_LATELY:
            return [*outputs, *self._ask(self._seen[0], now)]
        return [*outputs, *self._search(now)]

    def stop(self) -> list[Send]:
        """Gives the port back, unheard."""
        mapping, self._mapping = self._mapping, None
        self._phase, self._place, self._services = Resting(math.inf), None, []
        return mapping.service.release() if mapping else []

    def receive(self, datagram: bytes, source: Endpoint, now: float) -> list[Output]:
        """Of what comes from the router, a first byte tells NAT-PMP, PCP and UPnP's text apart."""
        if self._place is None or source.address != self._place.gateway:
            self.counters["not_the_gateway"] += 1
            return []
        by_first_byte = {natpmp.VERSION: 0, 2: 1}
        service = self._services[by_first_byte.get(datagram[0] if datagram else 0xFF, 2)]
        try:
            found = service.receive(datagram, source, now)
        except Malformed:
            self.counters["malformed"] += 1
            return []
        return self._settle(service, found, now)

    def receive_announcement(self, source: Endpoint, now: float) -> list[Output]:
        """RFC 6886 §3.2.1, RFC 6887 §14.1: the router has restarted, or has another address.

        It says so ten times, and is asked as often: a mapping that is there is not made twice.
        """
        if self._place is None or source.address != self._place.gateway:
            self.counters["not_the_gateway"] += 1
            return []
        match self._phase:
            case Holding(service):
                return self._ask(service, now)
            case Resting():
                self._refusals, self._wait = {}, SEARCH_AGAIN
                return self._search(now)
        return []

    def receive_http(self, number: int, response: HttpResponse | None, now: float) -> list[Output]:
        """None: no answer, or none that could be read."""
        return [
            output
            for service in self._services
            for output in self._settle(service, service.receive_http(number, response), now)
        ]

    def tick(self, now: float) -> list[Output]:
        outputs: list[Output] = []
        if self._mapping is not None and now >= self._mapping.expires:
            outputs += self._lose("it ran out, and the router did not renew it")
            self._seen = None
        if now < self._phase.due:
            return outputs
        match self._phase:
            case Searching() as search:
                outputs += self._search_on(search, now)
            case Asking() as ask:
                outputs += self._ask_on(ask, now)
            case Holding() as hold:
                outputs += self._hold_on(hold, now)
            case Resting():
                self._refusals = {}
                outputs += self._search(now)
        return outputs

    # --- searching ---

    def _search(self, now: float) -> list[Output]:
        self._phase = Searching(now + ANSWER_WITHIN)
        return self._search_all()

    def _search_all(self) -> list[Output]:
        return [send for service in self._open() for send in service.search()]

    def _open(self) -> Iterable[Service]:
        return (each for each in self._services if each.name not in self._refusals)

    def _search_on(self, search: Searching, now: float) -> list[Output]:
        if search.found is not None:
            return self._ask(search.found, now)
        if search.tries == TRIES or not any(True for _ in self._open()):
            return self._give_up(now)
        search.due = now + ANSWER_WITHIN * 2**search.tries
        search.tries += 1
        return self._search_all()

    def _give_up(self, now: float) -> list[Output]:
        """Nobody maps a port for us. It may be otherwise in a while."""
        outputs: list[Output] = []
        self._rest(now)
        refusal = next(iter(self._refusals.items()), None)
        if refusal is not None:
            outputs += self._lose(refusal[1])
            if not outputs and refusal != self._told:
                outputs.append(PortMappingRefused(*refusal))
            self._told = refusal
        return outputs

    def _rest(self, now: float) -> None:
        if self._mapping is not None:
            wait = max(LEAST_RETRY, (self._mapping.expires - now) / 2)
        else:
            wait, self._wait = self._wait, min(2 * self._wait, SEARCH_SELDOM)
        self._phase = Resting(now + wait)

    # --- asking ---

    def _ask(self, service: Service, now: float) -> list[Output]:
        self._phase = Asking(service, now + ANSWER_WITHIN, now + ASK_AT_MOST)
        return [*service.ask(self.mapped, self._lifetime)]

    def _ask_on(self, ask: Asking, now: float) -> list[Output]:
        if now >= ask.until:
            if self._mapping is None:
                return self._refused(
                    ask.service, "the router does not answer when asked for a port", now
                )
            self._seen = None
            self._rest(now)
            return []
        ask.gap *= 2
        ask.due = min(now + ask.gap, ask.until)
        return [*ask.service.ask_again()]

    def _granted(self, service: Service, granted: Granted, now: float) -> list[Output]:
        external = granted.external
        if why := _useless(external.address):
            return self._refused(service, why, now)
        life = min(max(granted.lifetime, LEAST_LIFE), LONGEST_LIFE)
        before = self.mapped
        self._mapping = Mapping(service, external, now + life / 2, now + life)
        self._seen, self._told = (service, now), None
        self._refusals, self._wait = {}, SEARCH_AGAIN
        self._hold(service, now)
        if external == before:
            return []
        return [PortMapped(external, service.name, f"the router mapped it for {life:g} s")]

    def _refused(self, service: Service, why: str, now: float) -> list[Output]:
        """Another protocol may still do it."""
        self._refusals[service.name] = why
        self._seen = None
        outputs = self._search(now)
        return outputs or self._give_up(now)

    # --- holding ---

    def _hold(self, service: Service, now: float) -> None:
        assert self._mapping is not None
        self._phase = Holding(service, min(now + CHECK_EVERY, self._mapping.renew_at))

    def _hold_on(self, hold: Holding, now: float) -> list[Output]:
        assert self._mapping is not None
        if now >= self._mapping.renew_at:
            return self._ask(hold.service, now)
        if hold.tries == TRIES:
            self._hold(hold.service, now)  # silence is no news: its time is not over
            return []
        hold.due = min(now + ANSWER_WITHIN * 2**hold.tries, self._mapping.renew_at)
        hold.tries += 1
        return (
            [*hold.service.check()] if hold.tries == 1 or not hold.service.waits_for_others else []
        )

    def _lose(self, why: str) -> list[Output]:
        mapping, self._mapping = self._mapping, None
        if isinstance(self._phase, Holding):
            self._phase = Resting(-math.inf)
        return [PortMappingLost(mapping.service.name, why)] if mapping else []

    # --- what a protocol finds out ---

    def _settle(
        self, service: Service, found: Iterable[Send | Finding], now: float
    ) -> list[Output]:
        outputs: list[Output] = []
        for each in found:
            match each:
                case SendToGateway() | HttpRequest():
                    outputs.append(each)
                case _:
                    outputs += self._learn(service, each, now)
        return outputs

    def _learn(self, service: Service, finding: Finding, now: float) -> list[Output]:
        match finding, self._phase:
            case Found(), Searching() as search if service.name not in self._refusals:
                if not service.waits_for_others:
                    return self._ask(service, now)
                search.found = service
            case Granted() as granted, Asking(service=asked) if asked is service:
                return self._granted(service, granted, now)
            case Refused(why), Asking(service=asked) if asked is service:
                return self._refused(service, why, now)
            case Alive(), Holding(service=held, tries=tries) if held is service and tries:
                self._hold(service, now)
            case Forgotten(why), Holding(service=held) if held is service:
                self.counters["forgotten"] += 1
                return self._ask(service, now)
            case Gone(), Asking(service=asked) | Holding(service=asked) if asked is service:
                return self._search(now)
            case _:
                pass  # too late, or said twice
        return []


def _useless(address: str) -> str | None:
    """Why nobody could reach us there; None if somebody could."""
    ip = IPv4Address(address) if ":" not in address else None
    if ip is None or ip.is_unspecified or ip.is_loopback or ip.is_multicast:
        return NO_ADDRESS
    if ip in CARRIERS:  # also the overlay's own range, so no endpoint of ours either
        return f"the router's own address, {address}, is behind a carrier's NAT"
    return None
