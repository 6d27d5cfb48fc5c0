"""UPnP Internet Gateway Device: the router's description, and the calls (SOAP) to its control URL.

The description is XML that lists services, each with its type and control URL. Routers write XML by hand
and get it wrong, so elements are found by their names and nothing else is asked of the text. Entities
beyond the five of XML are left alone: no text here can grow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Final

from msgspec import Struct

from node.wire.http_response import LARGEST, HttpResponse
from node.wire.malformed import Malformed
from node.wire.ssdp import Url, join_url

MOST_SERVICES = 64
SERVICE_TYPES: Final = (  # best first
    "urn:schemas-upnp-org:service:WANIPConnection:2",
    "urn:schemas-upnp-org:service:WANIPConnection:1",
    "urn:schemas-upnp-org:service:WANPPPConnection:1",
)
ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'", "&amp;": "&"}
ENTITY = re.compile("|".join(ENTITIES))

ONLY_PERMANENT_LEASES, INVALID_ARGS = 725, 402
CONFLICT, NO_SUCH_ENTRY = 718, 714
ERRORS = {
    401: "the router does not know the request",
    402: "the router does not accept the request",
    501: "the router failed, and does not say why",
    606: "the router is told not to map ports",
    716: "the router does not map a port for any sender",
    718: "the external port is another host's",
    724: "the router maps a port to the same port only",
    725: "the router maps ports for ever or not at all",
    728: "the router has no port left",
    729: "the port is forwarded otherwise",
}

ENVELOPE = (
    '<?xml version="1.0"?>\r\n'
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
    's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
    '<s:Body><u:{action} xmlns:u="{type}">{arguments}</u:{action}></s:Body></s:Envelope>\r\n'
)


class Service(Struct, frozen=True):
    """A UPnP service that maps ports, and where it takes commands."""

    type: str
    control: Url


class SoapError(Struct, frozen=True):
    """The UPnP error code of a refused command."""

    code: int

    def __str__(self) -> str:
        return ERRORS.get(self.code, f"the router says error {self.code}")


def get_request(url: Url) -> bytes:
    return f"GET {url.path} HTTP/1.1\r\nHost: {url.host}\r\nConnection: close\r\n\r\n".encode()


def soap_request(service: Service, action: str, arguments: Mapping[str, str | int]) -> bytes:
    told = "".join(f"<{name}>{escape(str(each))}</{name}>" for name, each in arguments.items())
    body = ENVELOPE.format(action=action, type=service.type, arguments=told).encode()
    lines = (
        f"POST {service.control.path} HTTP/1.1",
        f"Host: {service.control.host}",
        "Connection: close",
        'Content-Type: text/xml; charset="utf-8"',
        f'SOAPAction: "{service.type}#{action}"',
        f"Content-Length: {len(body)}",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + body


def parse_description(response: HttpResponse, url: Url) -> list[Service]:
    """Those of its services that map ports, best first."""
    if response.status != 200:
        raise Malformed(f"igd: the description answers {response.status}")
    text = _text(response)
    base = url
    if (said := _value(text, "URLBase")) is not None and said:
        base = join_url(url, said)
    found = []
    for block in _elements(text, "service"):
        kind, control = _value(block, "serviceType"), _value(block, "controlURL")
        if kind in SERVICE_TYPES and control is not None:
            found.append(Service(kind, join_url(base, control)))
    if not found:
        raise Malformed("igd: no service that maps ports")
    return sorted(found, key=lambda service: SERVICE_TYPES.index(service.type))


def parse_result(response: HttpResponse, *names: str) -> SoapError | dict[str, str]:
    """The named values of a call's result; an absent one is empty."""
    text = _text(response)
    if (code := _value(text, "errorCode")) is not None:
        if not (code.isascii() and code.isdigit() and len(code) < 6):
            raise Malformed(f"igd: error code {code[:20]!r}")
        return SoapError(int(code))
    if response.status != 200:
        raise Malformed(f"igd: the call answers {response.status}")
    return {name: _value(text, name) or "" for name in names}


def _text(response: HttpResponse) -> str:
    return response.body[:LARGEST].decode("utf-8", "replace")


def _elements(text: str, name: str) -> Iterator[str]:
    """What is between each <name ...> and the next </name>, whatever their namespaces."""
    opening = re.compile(rf"<(?:[\w.-]{{1,64}}:)?{name}(?:\s[^<>]{{0,1024}})?>")
    closing = re.compile(rf"</(?:[\w.-]{{1,64}}:)?{name}\s{{0,16}}>")
    at = 0
    for _ in range(MOST_SERVICES):
        start = opening.search(text, at)
        end = closing.search(text, start.end()) if start else None
        if start is None or end is None:
            return
        yield text[start.end() : end.start()]
        at = end.end()


def _value(text: str, name: str) -> str | None:
    inner = next(_elements(text, name), None)
    return None if inner is None else ENTITY.sub(lambda each: ENTITIES[each[0]], inner.strip())
