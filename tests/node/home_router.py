"""A home router that maps ports, in memory, and a node's port mapping that asks it: on one jumping clock.

The router reads the node's bytes with parsers of its own and answers with bytes. It is as good or as
bad as its attributes say.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address

from node.core.portmap import PortMapping
from node.core.portmap_outputs import HttpRequest, Output, Place, Send, SendToGateway
from node.wire.endpoint import Endpoint
from node.wire.http_response import HttpResponse, parse_response
from tests.node.two_ends import counter_as_dice

GATEWAY = "192.168.1.1"
OWN = Endpoint("192.168.1.10", 41641)
HOME = Place(GATEWAY, OWN)
WAN = "44.12.0.10"
EXTERNAL = Endpoint(WAN, 41641)
WEB = Endpoint(GATEWAY, 5000)
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
SSDP = (
    "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"
    "LOCATION: http://{web}/desc.xml\r\n\r\n"
)
DESCRIPTION = "<service><serviceType>{service}</serviceType><controlURL>/ctl</controlURL></service>"


@dataclass
class HomeRouter:
    protocols: set[str]
    wan: str = WAN
    since: float = 0.0  # its epoch's beginning
    result: int = 0  # of NAT-PMP and PCP
    soap_errors: dict[str, int] = field(default_factory=dict)  # by action
    only_permanent: int = 0  # the error for leases that end
    taken: set[int] = field(default_factory=set)  # external ports that others have
    gives: int | None = None  # that external port, whatever is wished
    longest: int = 86400
    web: Endpoint = WEB
    is_up: bool = True
    mapped: dict[int, float] = field(default_factory=dict)  # external port -> end
    heard: list[str] = field(default_factory=list)

    def restart(self, now: float) -> None:
        self.since, self.mapped = now, {}

    def receive(
        self, datagram: bytes, to: Endpoint, now: float
    ) -> Iterator[tuple[bytes, Endpoint]]:
        if not self.is_up:
            return
        source = Endpoint(GATEWAY, to.port)
        if to.port == 1900 and "upnp" in self.protocols:
            if to.address == GATEWAY:  # the multicast one is the same question
                self.heard.append("search")
                yield SSDP.format(web=self.web).encode(), source
        elif datagram[0] == 0 and "nat-pmp" in self.protocols:
            yield self._nat_pmp(datagram, int(now - self.since)), source
        elif datagram[0] == 2 and "pcp" in self.protocols:
            yield self._pcp(datagram, now), source

    def _nat_pmp(self, datagram: bytes, epoch: int) -> bytes:
        if datagram[1] == 0:
            self.heard.append("nat-pmp address")
            return struct.pack(">BBHI4s", 0, 128, self.result, epoch, IPv4Address(self.wan).packed)
        internal, wanted, lifetime = struct.unpack_from(">HHI", datagram, 4)
        self.heard.append(f"nat-pmp map {wanted} for {lifetime}")
        port, lifetime = self._map(wanted, lifetime, self.since + epoch)
        return struct.pack(">BBHIHHI", 0, 129, self.result, epoch, internal, port, lifetime)

    def _pcp(self, datagram: bytes, now: float) -> bytes:
        epoch, opcode = int(now - self.since), datagram[1]
        if opcode == 0:
            self.heard.append("pcp announce")
            return struct.pack(">BBBBII12x", 2, 128, 0, 0, 0, epoch)
        (lifetime,) = struct.unpack_from(">I", datagram, 4)
        nonce, internal, wanted = struct.unpack_from(">12s4xHH", datagram, 24)
        self.heard.append(f"pcp map {wanted} for {lifetime}")
        port, lifetime = self._map(wanted, lifetime, now)
        head = struct.pack(">BBBBII12x", 2, 129, 0, self.result, lifetime, epoch)
        address = bytes(10) + b"\xff\xff" + IPv4Address(self.wan).packed
        return head + struct.pack(">12sB3xHH16s", nonce, 17, internal, port, address)

    def _map(self, wanted: int, lifetime: int, now: float) -> tuple[int, int]:
        if self.result:
            return 0, 0
        if lifetime == 0:
            self.mapped = {}
            return 0, 0
        port = self.gives or wanted
        lifetime = min(lifetime, self.longest)
        self.mapped[port] = now + lifetime
        return port, lifetime

    def request(self, data: bytes, to: Endpoint, now: float) -> HttpResponse | None:
        if not self.is_up or to != self.web:
            return None
        text = data.decode()
        if text.startswith("GET "):
            return _response(200, DESCRIPTION.format(service=SERVICE))
        action = re.findall(r'SOAPAction: ".*#(\w+)"', text)[0]
        told = dict(re.findall(r"<(New\w+)>([^<]*)</New", text))
        port = int(told.get("NewExternalPort", 0))
        lease = told.get("NewLeaseDuration")
        self.heard.append(
            f"{action} {port}" + (f" for {lease}" if lease else "") if port else action
        )
        code = self.soap_errors.get(action) or self._soap(action, port, lease, now)
        if code:
            return _response(500, f"<errorCode>{code}</errorCode>")
        wan, client = self.wan, OWN.address
        return _response(
            200,
            f"<NewExternalIPAddress>{wan}</NewExternalIPAddress>"
            f"<NewInternalClient>{client}</NewInternalClient>",
        )

    def _soap(self, action: str, port: int, lease: str | None, now: float) -> int:
        if action == "AddPortMapping":
            if port in self.taken:
                return 718
            if self.only_permanent and lease != "0":
                return self.only_permanent
            self.mapped[port] = now + float(lease or 0) if lease != "0" else float("inf")
        if action == "DeletePortMapping":
            self.mapped.pop(port, None)
        if action == "GetSpecificPortMappingEntry" and port not in self.mapped:
            return 714
        return 0


def _response(status: int, text: str) -> HttpResponse:
    data = f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode()
    response = parse_response(data, closed=True)
    assert response is not None
    return response


class Home:
    """A node's port mapping at home. What is told (not sent) is kept with its time."""

    def __init__(self, router: HomeRouter, lifetime: int = 7200) -> None:
        self.router, self.now = router, 1000.0
        self.core = PortMapping(counter_as_dice(1), lifetime)
        self.told: list[tuple[float, Output]] = []

    def start(self, place: Place | None = HOME) -> None:
        self.handle(self.core.start(place, self.now))

    def run_until(self, until: float) -> None:
        """From deadline to deadline; a tick must move it."""
        while (due := self.core.deadline) is not None and due <= until:
            self.now = max(self.now, due)
            self.handle(self.core.tick(self.now))
            assert self.core.deadline is None or self.core.deadline > self.now
        self.now = until

    def handle(self, outputs: list[Output] | list[Send]) -> None:
        for output in outputs:
            match output:
                case SendToGateway(datagram, to):
                    for answer, source in self.router.receive(datagram, to, self.now):
                        self.handle(self.core.receive(answer, source, self.now))
                case HttpRequest(number, to, data):
                    response = self.router.request(data, to, self.now)
                    self.handle(self.core.receive_http(number, response, self.now))
                case _:
                    self.told.append((self.now, output))

    @property
    def last(self) -> Output:
        return self.told[-1][1]
