"""SSDP (UPnP Device Architecture §1.3): where is the router's UPnP description?

A search is one datagram of HTTP-like text to the router, and to the multicast group as some routers
answer only there; an answer has the description's URL in LOCATION.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address

from msgspec import Struct

from node.wire.endpoint import Endpoint
from node.wire.http_response import parse_head
from node.wire.malformed import Malformed

PORT = 1900
GROUP = Endpoint("239.255.255.250", PORT)
DEVICE = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
LARGEST = 4096
URL = re.compile(r"http://([0-9.]{7,15})(?::(\d{1,5}))?(/[\x21-\x7e]{0,1024})?", re.IGNORECASE)


class Url(Struct, frozen=True):
    """Of a router's web server, by address: names would have to be looked up somewhere."""

    host: Endpoint
    path: str


def search() -> bytes:
    """MX 1, the least: answers may be delayed by as many seconds."""
    lines = (
        "M-SEARCH * HTTP/1.1",
        f"HOST: {GROUP}",
        f"ST: {DEVICE}",
        'MAN: "ssdp:discover"',
        "MX: 1",
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def parse_answer(datagram: bytes) -> Url:
    """The description's URL."""
    if len(datagram) > LARGEST:
        raise Malformed("ssdp: too long")
    head = parse_head(datagram if b"\n\n" in datagram else datagram + b"\r\n\r\n")
    if head is None or head[0] != 200:
        raise Malformed("ssdp: not an answer")
    _, headers, _ = head
    kind = headers.get("st", "")
    if "InternetGatewayDevice" not in kind and "rootdevice" not in kind:
        raise Malformed("ssdp: not of a gateway")
    return parse_url(headers.get("location", ""))


def parse_url(text: str) -> Url:
    match = URL.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError
        address, port = str(IPv4Address(match[1])), int(match[2] or 80)
    except ValueError:
        raise Malformed(f"url: {text[:80]!r} is not http://ADDRESS:PORT/PATH") from None
    if not 0 < port <= 0xFFFF:
        raise Malformed(f"url: port {port}")
    return Url(Endpoint(address, port), match[3] or "/")


def join_url(base: Url, text: str) -> Url:
    """A path of the description, or a whole URL (RFC 3986 §5.2, in its two forms that routers use)."""
    text = text.strip()
    if "://" in text:
        return parse_url(text)
    path = text if text.startswith("/") else f"{base.path.rpartition('/')[0]}/{text}"
    return parse_url(f"http://{base.host}{path}")
