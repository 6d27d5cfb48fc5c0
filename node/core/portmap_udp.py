"""NAT-PMP and PCP with one router: what to send, and what the answers mean."""

from __future__ import annotations

from node.core.epoch import Epoch
from node.core.portmap_outputs import (
    Alive,
    Finding,
    Forgotten,
    Found,
    Granted,
    Place,
    Refused,
    Send,
    SendToGateway,
)
from node.wire import natpmp, pcp
from node.wire.endpoint import Endpoint
from node.wire.http_response import HttpResponse

UNSUPPORTED_VERSION = 1  # of both: this router speaks only the other one
RESTARTED = "the router has restarted"
ANY = Endpoint("0.0.0.0", 0)


class NatPmp:
    name = "nat-pmp"
    waits_for_others = False

    def __init__(self, place: Place) -> None:
        self._place = place
        self._epoch: Epoch | None = None
        self._asked: tuple[int, int] | None = None  # external port and lifetime; until answered
        self._address: str | None = None
        self._mapped: natpmp.MapAnswer | None = None

    def search(self) -> list[Send]:
        self._asked = None  # what was not answered by now is given up
        return [self._send(natpmp.address_request())]

    def ask(self, wanted: Endpoint | None, lifetime: int) -> list[Send]:
        self._asked = (wanted.port if wanted else self._place.own.port, lifetime)
        self._address = self._mapped = None
        return self.ask_again()

    def ask_again(self) -> list[Send]:
        """The mapping's answer lacks the external address, so both are asked for."""
        if self._asked is None:
            return []
        mapping = natpmp.map_request(self._place.own.port, *self._asked)
        return [self._send(natpmp.address_request()), self._send(mapping)]

    def check(self) -> list[Send]:
        return self.search()

    def release(self) -> list[Send]:
        return [self._send(natpmp.map_request(self._place.own.port, 0, 0))]

    def receive(self, datagram: bytes, source: Endpoint, now: float) -> list[Send | Finding]:
        answer = natpmp.parse_answer(datagram)
        if answer.result == UNSUPPORTED_VERSION:
            return []
        if isinstance(answer, natpmp.MapAnswer) and answer.internal_port != self._place.own.port:
            return []
        restarted = self._epoch is not None and self._epoch.has_restarted(answer.epoch, now)
        self._epoch = Epoch(answer.epoch, now)
        if self._asked is not None:
            return self._answered(answer)
        if restarted:
            return [Forgotten(RESTARTED)]
        return self._checked(answer)

    def receive_http(self, number: int, response: HttpResponse | None) -> list[Send | Finding]:
        return []

    def _answered(self, answer: natpmp.AddressAnswer | natpmp.MapAnswer) -> list[Send | Finding]:
        if answer.result != natpmp.SUCCESS:
            self._asked = None
            unknown = f"the router says result {answer.result}"
            return [Refused(natpmp.RESULTS.get(answer.result, unknown))]
        if isinstance(answer, natpmp.AddressAnswer):
            self._address = answer.address
        elif answer.lifetime:
            self._mapped = answer
        if self._address is None or self._mapped is None:
            return []
        self._asked = None
        external = Endpoint(self._address, self._mapped.external_port)
        return [Granted(external, self._mapped.lifetime)]

    def _checked(self, answer: natpmp.AddressAnswer | natpmp.MapAnswer) -> list[Send | Finding]:
        if isinstance(answer, natpmp.MapAnswer):
            return []
        known = self._address
        if answer.result == natpmp.SUCCESS and known not in (None, answer.address):
            return [Forgotten(f"the router's address is {answer.address} now")]
        return [Found(), Alive()]

    def _send(self, datagram: bytes) -> SendToGateway:
        return SendToGateway(datagram, Endpoint(self._place.gateway, natpmp.PORT))


class Pcp:
    name = "pcp"
    waits_for_others = False

    def __init__(self, place: Place, nonce: bytes) -> None:
        self._place, self._nonce = place, nonce
        self._epoch: Epoch | None = None
        self._asked: tuple[Endpoint, int] | None = None
        self._last = Endpoint("0.0.0.0", place.own.port)

    def search(self) -> list[Send]:
        self._asked = None
        return [self._send(pcp.announce_request(self._place.own.address))]

    def ask(self, wanted: Endpoint | None, lifetime: int) -> list[Send]:
        self._asked = (wanted or self._last, lifetime)
        return self.ask_again()

    def ask_again(self) -> list[Send]:
        if self._asked is None:
            return []
        return [self._send(pcp.map_request(self._place.own, self._nonce, *self._asked))]

    def check(self) -> list[Send]:
        return self.search()

    def release(self) -> list[Send]:
        return [self._send(pcp.map_request(self._place.own, self._nonce, ANY, 0))]

    def receive(self, datagram: bytes, source: Endpoint, now: float) -> list[Send | Finding]:
        answer = pcp.parse_answer(datagram)
        if answer.result == UNSUPPORTED_VERSION:
            return []
        if isinstance(answer, pcp.MapAnswer) and not self._is_ours(answer):
            return []
        restarted = self._epoch is not None and self._epoch.is_another(answer.epoch, now)
        self._epoch = Epoch(answer.epoch, now)
        if isinstance(answer, pcp.MapAnswer):
            return self._answered(answer)
        if restarted and self._asked is None:
            return [Forgotten(RESTARTED)]
        return [Found(), Alive()]

    def receive_http(self, number: int, response: HttpResponse | None) -> list[Send | Finding]:
        return []

    def _is_ours(self, answer: pcp.MapAnswer) -> bool:
        return (answer.nonce, answer.internal_port) == (self._nonce, self._place.own.port)

    def _answered(self, answer: pcp.MapAnswer) -> list[Send | Finding]:
        if self._asked is None or (answer.result == pcp.SUCCESS and not answer.lifetime):
            return []
        self._asked = None
        if answer.result != pcp.SUCCESS:
            return [
                Refused(pcp.RESULTS.get(answer.result, f"the router says result {answer.result}"))
            ]
        return [Granted(answer.external, answer.lifetime)]

    def _send(self, datagram: bytes) -> SendToGateway:
        return SendToGateway(datagram, Endpoint(self._place.gateway, pcp.PORT))
