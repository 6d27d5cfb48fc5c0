"""An HTTP/1.1 response as home routers send them (RFC 9112): status, headers, body.

Read from all the bytes that have come so far: None while some are missing. Tolerant where routers
are sloppy (bare LF, no reason phrase), bounded where they are hostile.
"""

from __future__ import annotations

import re

from msgspec import Struct

from node.wire.malformed import Malformed

LARGEST = 256 << 10  # bytes; a router's description has 2 to 40 KiB
LARGEST_HEAD = 16 << 10
STATUS = re.compile(rb"HTTP/1\.[01] +(\d{3})(?: [^\r\n]*)?")
END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]{0,256}\r?\n")


class HttpResponse(Struct, frozen=True):
    """A whole answer; header names are in lower case."""

    status: int
    headers: dict[str, str]  # names in lower case; of equal names the last
    body: bytes


def parse_head(data: bytes) -> tuple[int, dict[str, str], int] | None:
    """Status, headers, and where the body begins; None while the head is not whole."""
    end = END_OF_HEAD.search(data, 0, LARGEST_HEAD)
    if end is None:
        if len(data) > LARGEST_HEAD:
            raise Malformed("http: a head without end")
        return None
    first, *lines = data[: end.start()].split(b"\n")
    status = STATUS.fullmatch(first.removesuffix(b"\r"))
    if status is None:
        raise Malformed("http: the first line is no status")
    headers = {}
    for line in lines:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(status[1]), headers, end.end()


def parse_response(data: bytes, closed: bool) -> HttpResponse | None:
    """`closed`: nothing follows, so what has come is all, if the head does not promise more."""
    if len(data) > LARGEST:
        raise Malformed(f"http: more than {LARGEST} bytes")
    head = parse_head(data)
    if head is None:
        if closed:
            raise Malformed("http: closed within the head")
        return None
    status, headers, start = head
    body = _body(headers, data[start:], closed)
    if body is None and closed:
        raise Malformed("http: closed within the body")
    return None if body is None else HttpResponse(status, headers, body)


def _body(headers: dict[str, str], data: bytes, closed: bool) -> bytes | None:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _dechunked(data)
    length = headers.get("content-length")
    if length is None:
        return data if closed else None
    if not (length.isascii() and length.isdigit()):
        raise Malformed(f"http: length {length[:20]!r}")
    size = int(length[:9])
    return data[:size] if len(data) >= size else None


def _dechunked(data: bytes) -> bytes | None:
    """RFC 9112 §7.1; None while the last chunk has not come."""
    whole: list[bytes] = []
    at = 0
    while match := CHUNK.match(data, at):
        size = int(match[1], 16)
        if size == 0:
            return b"".join(whole)
        at = match.end() + size
        whole.append(data[match.end() : at])
        if at + 2 > len(data):
            return None
        at += 2 if data[at : at + 1] == b"\r" else 1
    if len(data) - at > LARGEST_HEAD:
        raise Malformed("http: no size of a chunk where one belongs")
    return None
