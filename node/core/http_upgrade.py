"""The HTTP that stands before DERP: one request, one answer, and then frames or the end.

    GET /derp, Upgrade: DERP        101 and the server's key, then frames both ways
    ... with Derp-Fast-Start: 1     no HTTP answer at all: frames at once
    ... Upgrade: websocket          101, then frames in binary WebSocket messages (RFC 6455), if the
                                    subprotocol `derp` is asked for; else an old client, as above
    GET /derp without Upgrade       426
    /derp/probe, /derp/latency-check, /generate_204, /, /robots.txt

A client may put its first frames into the same flight as the request, so what follows the blank line
is not ours. A request is small and comes soon: the limits below end a client that drips.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct, field

from node.keys import NodePublic
from node.wire import websocket
from node.wire.derp_login import PROTOCOL_VERSION

REQUEST_TIMEOUT = 30.0  # seconds for TLS and the whole request together
MAX_REQUEST = 16_384  # bytes; a real one has about 200

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_CHALLENGE = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_NO_CACHE = "no-cache, no-store, must-revalidate, no-transform, max-age=0"
_REASONS = {
    200: "OK", 204: "No Content", 400: "Bad Request", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 426: "Upgrade Required", 431: "Request Header Fields Too Large",
    505: "HTTP Version Not Supported",
}  # fmt: skip
_HOME = """<!DOCTYPE html>
<html><head><title>DERP</title></head><body><h1>DERP</h1>
<p>This is a DERP relay: it hands on packets between nodes that have no direct path yet, and cannot
read them.</p></body></html>
"""


class BadRequest(ValueError):
    def __init__(self, status: int) -> None:
        super().__init__(_REASONS[status])
        self.status = status


class Request(Struct, frozen=True):
    """What a client asks of the server; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case

    @property
    def fast_start(self) -> bool:
        return self.headers.get("derp-fast-start") == "1"

    @property
    def wants_websocket(self) -> bool:
        asked = self.headers.get("sec-websocket-protocol", "").split(",")
        is_websocket = self.headers.get("upgrade", "").lower() == "websocket"
        return is_websocket and websocket.SUBPROTOCOL in [each.strip() for each in asked]


def parse_request(head: bytes) -> Request:
    """`head` is what stands before the blank line (RFC 9112 §2.1)."""
    lines = head.decode("latin-1").split("\r\n")
    method, _, rest = lines[0].partition(" ")
    target, _, version = rest.rpartition(" ")
    if not _TOKEN.fullmatch(method) or not target.startswith("/") or " " in target:
        raise BadRequest(400)
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(505)
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name):
            raise BadRequest(400)
        headers[name.lower()] = value.strip(" \t")
    return Request(method, target.partition("?")[0], headers)


def response(
    status: int, body: str = "", headers: Mapping[str, str] | None = None, *, head: bool = False
) -> bytes:
    """A whole answer, after which the connection ends."""
    fields = {"Connection": "close", **(headers or {})}
    if status != 204:  # RFC 9110 §8.6: a 204 has no length
        fields.setdefault("Content-Type", "text/plain; charset=utf-8")
        fields["Content-Length"] = str(len(body.encode()))
    lines = [f"HTTP/1.1 {status} {_REASONS[status]}", *(f"{k}: {v}" for k, v in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n" + ("" if head else body)).encode()


def switching_protocols(key: NodePublic) -> bytes:
    return (
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: DERP\r\n"
        "Connection: Upgrade\r\n"
        f"Derp-Version: {PROTOCOL_VERSION}\r\n"
        f"Derp-Public-Key: {key.raw.hex()}\r\n\r\n"
    ).encode()


def switching_to_websocket(request: Request) -> bytes:
    """RFC 6455 §4.2.2. Raises BadRequest."""
    key = request.headers.get("sec-websocket-key", "")
    if request.headers.get("sec-websocket-version") != websocket.VERSION or not websocket.is_key(
        key
    ):
        raise BadRequest(400)
    return (
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {websocket.accept_key(key)}\r\n"
        f"Sec-WebSocket-Protocol: {websocket.SUBPROTOCOL}\r\n\r\n"
    ).encode()


def wants_upgrade(request: Request) -> bool:
    return (
        request.path == "/derp"
        and request.method == "GET"
        and request.headers.get("upgrade", "").lower() in ("derp", "websocket")
    )


def answer(request: Request, metrics: str | None) -> bytes:
    """To everything but an upgrade. `metrics` is None for those who may not see them."""
    head = request.method == "HEAD"
    if request.method not in ("GET", "HEAD"):
        return response(405, "only GET and HEAD are known here\n", {"Allow": "GET, HEAD"})
    match request.path:
        case "/derp":
            upgrade = {"Upgrade": "DERP", "Connection": "close, Upgrade"}
            return response(426, "DERP requires connection upgrade\n", upgrade, head=head)
        case "/derp/probe" | "/derp/latency-check":
            return response(200, "", {"Access-Control-Allow-Origin": "*"}, head=head)
        case "/generate_204":
            return response(204, "", _no_content(request))
        case "/":
            return response(200, _HOME, {"Content-Type": "text/html; charset=utf-8"}, head=head)
        case "/robots.txt":
            return response(200, "User-agent: *\nDisallow: /\n", head=head)
        case "/metrics" if metrics is not None:
            kind = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
            return response(200, metrics, kind, head=head)
        case "/metrics":
            return response(403, "metrics are for this machine only\n", head=head)
    return response(404, "no such page\n", head=head)


def _no_content(request: Request) -> dict[str, str]:
    """The answer proves to a client that no captive portal made it up."""
    fields = {"Cache-Control": _NO_CACHE}
    challenge = request.headers.get("x-tailscale-challenge", "")
    if _CHALLENGE.fullmatch(challenge):
        fields["X-Tailscale-Response"] = f"response {challenge}"
    return fields
