"""What port mapping wants done and tells, and what its protocols find out."""

from __future__ import annotations

from typing import Protocol, TypeAlias

from msgspec import Struct

from node.wire.endpoint import Endpoint
from node.wire.http_response import HttpResponse

NO_ADDRESS = "the router has no address on the internet itself"


class Place(Struct, frozen=True):
    """Where we are: the router, and our own address and UDP port towards it."""

    gateway: str
    own: Endpoint


class SendToGateway(Struct, frozen=True):
    """From the socket for port mapping, not from the node's own."""

    datagram: bytes
    to: Endpoint


class HttpRequest(Struct, frozen=True):
    """One request on a connection of its own; the answer is handed back with the number."""

    number: int
    to: Endpoint
    data: bytes


class PortMapped(Struct, frozen=True):
    """The router sends what comes to this endpoint to us."""

    endpoint: Endpoint
    protocol: str
    why: str


class PortMappingLost(Struct, frozen=True):
    """It does so no more."""

    protocol: str
    why: str


class PortMappingRefused(Struct, frozen=True):
    """The router can, and will not."""

    protocol: str
    why: str


Send: TypeAlias = SendToGateway | HttpRequest
Output: TypeAlias = Send | PortMapped | PortMappingLost | PortMappingRefused


class Found(Struct, frozen=True):
    """The router speaks this protocol."""


class Granted(Struct, frozen=True):
    """By the protocol: an endpoint, for so many seconds."""

    external: Endpoint
    lifetime: float


class Refused(Struct, frozen=True):
    """By the protocol, in words."""

    why: str


class Alive(Struct, frozen=True):
    """It answered, and nothing speaks against our mapping."""


class Forgotten(Struct, frozen=True):
    """Our mapping is no longer there."""

    why: str


class Gone(Struct, frozen=True):
    """The service is not where it was."""

    why: str


Finding: TypeAlias = Found | Granted | Refused | Alive | Forgotten | Gone


class Service(Protocol):
    """One protocol, with one router."""

    name: str
    waits_for_others: bool  # asked only when no other protocol has answered

    def search(self) -> list[Send]: ...
    def ask(self, wanted: Endpoint | None, lifetime: int) -> list[Send]: ...
    def ask_again(self) -> list[Send]: ...
    def check(self) -> list[Send]: ...
    def release(self) -> list[Send]: ...
    def receive(self, datagram: bytes, source: Endpoint, now: float) -> list[Send | Finding]: ...
    def receive_http(self, number: int, response: HttpResponse | None) -> list[Send | Finding]: ...
