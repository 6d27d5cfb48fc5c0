"""A way out through an HTTP proxy: `CONNECT host:port`, one answer, then a stream (RFC 9110 §9.3.6).

A proxy is named as everywhere: `http://[user:password@]host[:port]`. Names are left to it: who needs
a proxy often has no DNS for the outside.
"""

from __future__ import annotations

import binascii

from msgspec import Struct

from node.wire.malformed import Malformed

MAX_ANSWER = 16_384  # bytes
DEFAULT_PORT = 80


class Proxy(Struct, frozen=True):
    """An HTTP proxy, and who we are to it: `user:password`, or None."""

    host: str
    port: int
    credentials: str | None = None  # user:password

    def __repr__(self) -> str:
        return f"Proxy({self})"

    def __str__(self) -> str:
        """Without the password."""
        return f"{self.host}:{self.port}"


def parse_proxy(text: str) -> Proxy:
    """Raises ValueError with one line for a person."""
    scheme, mark, rest = text.rpartition("://")
    if mark and scheme != "http":
        raise ValueError(f"{scheme}:// is not a kind of proxy known here: http:// is")
    from urllib.parse import unquote  # late: few have a proxy

    user, at, place = rest.rstrip("/").rpartition("@")
    host, colon, port = place.rpartition(":")
    if not colon or place.endswith("]"):
        host, port = place, str(DEFAULT_PORT)
    if not host or "/" in place or not port.isdecimal() or not 0 < int(port) <= 0xFFFF:
        raise ValueError("not http://HOST:PORT")
    return Proxy(host.strip("[]"), int(port), unquote(user) if at else None)


def goes_direct(host: str, no_proxy: str) -> bool:
    """`no_proxy` as in the environment: names, with all below them, or `*`."""
    for each in no_proxy.split(","):
        name = each.strip().lower().lstrip(".")
        if name == "*" or (name and (host.lower() == name or host.lower().endswith("." + name))):
            return True
    return False


def connect_request(host: str, port: int, proxy: Proxy) -> bytes:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", "User-Agent: punchlab"]
    if proxy.credentials is not None:
        secret = binascii.b2a_base64(proxy.credentials.encode(), newline=False).decode()
        lines.append(f"Proxy-Authorization: Basic {secret}")
    return "\r\n".join([*lines, "", ""]).encode()


def is_connected(answer: bytes) -> bool:
    """Whether the answer is there whole and says yes. Raises Malformed for a no."""
    if len(answer) > MAX_ANSWER:
        raise Malformed("no end of its answer")
    head, blank, _ = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    status = head.split(b"\r\n", 1)[0].decode("latin-1")
    version, _, rest = status.partition(" ")
    if not version.startswith("HTTP/1.") or not rest.startswith("2"):
        raise Malformed(f"it answered {status[:60]!r}")
    return True
