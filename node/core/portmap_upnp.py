"""UPnP with one router: search, description, then calls, each an HTTP request of its own.

    M-SEARCH -> LOCATION -> description -> control URL -> GetExternalIPAddress -> AddPortMapping

Everything that the router names must be on the router itself. Leases that it does not like are asked for
once more as permanent ones; a port that another host has, with a port from the dice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Address
from typing import Literal

from msgspec import Struct

from node.core.portmap_outputs import (
    NO_ADDRESS,
    Alive,
    Finding,
    Forgotten,
    Found,
    Gone,
    Granted,
    HttpRequest,
    Place,
    Refused,
    Send,
    SendToGateway,
)
from node.wire import igd, ssdp
from node.wire.endpoint import Endpoint
from node.wire.http_response import HttpResponse
from node.wire.malformed import Malformed

MOST_CONFLICTS = 4  # ports tried after the first; that many conflicts are no accident
FIRST_PORT, PORTS = 1024, 64512
PERMANENT = 0
RENEW_PERMANENT = 7200.0  # seconds that a mapping without end is believed in: routers restart
DESCRIPTION = "punchlab node"
Call = Literal["description", "address", "add", "check", "delete"]


class _Ask(Struct):
    """An AddPortMapping that has not been answered yet; lease in seconds."""

    port: int
    lease: int
    address: str = ""
    conflicts: int = 0


class Upnp:
    name = "upnp"
    waits_for_others = True

    def __init__(
        self, place: Place, random: Callable[[int], bytes], numbers: Iterator[int]
    ) -> None:
        self._place, self._random, self._numbers = place, random, numbers
        self._pending: tuple[int, Call] | None = None  # one call at a time; others' answers are old
        self._url: ssdp.Url | None = None
        self._services: list[igd.Service] = []
        self._ask: _Ask | None = None
        self._mapped: int | None = None  # external port

    # --- what is wanted ---

    def search(self) -> list[Send]:
        if self._pending is not None:
            return []
        searched = Endpoint(self._place.gateway, ssdp.PORT)
        return [SendToGateway(ssdp.search(), to) for to in (searched, ssdp.GROUP)]

    def ask(self, wanted: Endpoint | None, lifetime: int) -> list[Send]:
        self._ask = _Ask(wanted.port if wanted else self._place.own.port, lifetime)
        return self._ask_address()

    def ask_again(self) -> list[Send]:
        return []  # TCP sends again by itself

    def check(self) -> list[Send]:
        return self._call("check", "GetSpecificPortMappingEntry", self._entry(self._mapped or 0))

    def release(self) -> list[Send]:
        if self._mapped is None:
            return []
        return self._call("delete", "DeletePortMapping", self._entry(self._mapped))

    # --- what comes back ---

    def receive(self, datagram: bytes, source: Endpoint, now: float) -> list[Send | Finding]:
        url = ssdp.parse_answer(datagram)
        if url.host.address != self._place.gateway or self._pending is not None:
            return []
        if url == self._url and self._services:
            return [Found()]
        self._url, self._services = url, []
        return [self._request("description", url.host, igd.get_request(url))]

    def receive_http(self, number: int, response: HttpResponse | None) -> list[Send | Finding]:
        if self._pending is None or self._pending[0] != number:
            return []
        call, self._pending = self._pending[1], None
        if response is None:
            self._forget()
            return [Gone("the router does not answer")]
        try:
            return self._answered(call, response)
        except Malformed:
            self._forget()
            return [Gone("the router answers what nobody can read")]

    def _answered(self, call: Call, response: HttpResponse) -> list[Send | Finding]:
        match call:
            case "description":
                return self._described(response)
            case "address":
                return self._addressed(igd.parse_result(response, "NewExternalIPAddress"))
            case "add":
                return self._added(igd.parse_result(response))
            case "check":
                return self._checked(igd.parse_result(response, "NewInternalClient"))
            case "delete":
                return []

    def _described(self, response: HttpResponse) -> list[Send | Finding]:
        assert self._url is not None
        services = igd.parse_description(response, self._url)
        gateway = self._place.gateway
        self._services = [each for each in services if each.control.host.address == gateway]
        return [Found()] if self._services else []

    def _addressed(self, result: igd.SoapError | dict[str, str]) -> list[Send | Finding]:
        if self._ask is None:
            return []
        said = "" if isinstance(result, igd.SoapError) else result["NewExternalIPAddress"]
        if not _is_address(said):
            del self._services[0]  # routers with several uplinks describe all of them
            if self._services:
                return [*self._ask_address()]
            why = f"{result}, asked for its address" if isinstance(result, igd.SoapError) else ""
            self._ask = None
            return [Refused(why or NO_ADDRESS)]
        self._ask.address = said
        return [*self._add()]

    def _added(self, result: igd.SoapError | dict[str, str]) -> list[Send | Finding]:
        ask = self._ask
        if ask is None:
            return []
        if isinstance(result, igd.SoapError):
            return self._not_added(ask, result)
        self._mapped, self._ask = ask.port, None
        lifetime = float(ask.lease) if ask.lease != PERMANENT else RENEW_PERMANENT
        return [Granted(Endpoint(ask.address, ask.port), lifetime)]

    def _not_added(self, ask: _Ask, error: igd.SoapError) -> list[Send | Finding]:
        permanent_only = error.code in (igd.ONLY_PERMANENT_LEASES, igd.INVALID_ARGS)
        if permanent_only and ask.lease != PERMANENT:
            ask.lease = PERMANENT
            return [*self._add()]
        if error.code == igd.CONFLICT and ask.conflicts < MOST_CONFLICTS:
            ask.conflicts += 1
            ask.port = FIRST_PORT + int.from_bytes(self._random(4)) % PORTS
            return [*self._add()]
        self._ask = None
        return [Refused(str(error))]

    def _checked(self, result: igd.SoapError | dict[str, str]) -> list[Send | Finding]:
        if isinstance(result, igd.SoapError):
            if result.code != igd.NO_SUCH_ENTRY:
                return [Alive()]  # it does not say; the renewal will find out
            return [Forgotten("the router has forgotten it")]
        client = result["NewInternalClient"]
        ours = client in ("", self._place.own.address)
        return [Alive()] if ours else [Forgotten(f"the router gave the port to {client}")]

    # --- calls ---

    def _forget(self) -> None:
        self._url, self._services, self._ask = None, [], None

    def _ask_address(self) -> list[Send]:
        return self._call("address", "GetExternalIPAddress", {})

    def _add(self) -> list[Send]:
        assert self._ask is not None
        arguments = {
            **self._entry(self._ask.port),
            "NewInternalPort": self._place.own.port,
            "NewInternalClient": self._place.own.address,
            "NewEnabled": 1,
            "NewPortMappingDescription": DESCRIPTION,
            "NewLeaseDuration": self._ask.lease,
        }
        return self._call("add", "AddPortMapping", arguments)

    @staticmethod
    def _entry(port: int) -> dict[str, str | int]:
        return {"NewRemoteHost": "", "NewExternalPort": port, "NewProtocol": "UDP"}

    def _call(self, call: Call, action: str, arguments: Mapping[str, str | int]) -> list[Send]:
        if not self._services:
            return []
        service = self._services[0]
        data = igd.soap_request(service, action, arguments)
        return [self._request(call, service.control.host, data)]

    def _request(self, call: Call, to: Endpoint, data: bytes) -> HttpRequest:
        number = next(self._numbers)
        self._pending = (number, call)
        return HttpRequest(number, to, data)


def _is_address(text: str) -> bool:
    try:
        return not IPv4Address(text).is_unspecified
    except ValueError:
        return False
