"""Who is let in. The server can change a lab, so it listens to its own page alone.

- *DNS rebinding*: a foreign page whose name was pointed to this machine sends that name as Host. Known are
  `localhost` and literal addresses, of loopback alone unless the server was opened up.
- *Foreign pages* say who they are in Origin, and a browser does not let them leave it out of a POST.
- *Changes* are POSTs with the token of this session, which stands in the address that the terminal shows,
  behind the #: browsers send that part to nobody. Who only knows the port may look on.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

TOKEN = "X-Punchlab-Token"

# Nothing is fetched from anywhere else, nothing may frame the page, and nothing inline runs.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    why: str


@dataclass(frozen=True, slots=True)
class Door:
    host: str  # where the server listens
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)

    @property
    def is_open(self) -> bool:
        """Others than this machine get in."""
        return not _is_loopback(self.host)

    def refusal(self, method: str, headers: Mapping[str, str]) -> Refusal | None:
        """Why a request is refused; None if it is not."""
        host, origin = headers.get("Host", ""), headers.get("Origin")
        if not self._is_known(host):
            return Refusal(403, f"this is not the server of {host or 'nobody'}")
        if origin is not None and origin != f"http://{host}":
            return Refusal(403, f"pages of {origin} have no business here")
        if method not in ("GET", "HEAD", "POST"):
            return Refusal(405, f"there is nothing to {method}")
        if method == "POST" and not self._has_token(headers):
            return Refusal(403, "only to look at: changes need the address that the terminal shows")
        return None

    def _is_known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if _is_loopback(name):
            return True
        return self.is_open and (name == self.host.lower() or _is_address(name))

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        given = headers.get(TOKEN, "").encode("utf-8", "surrogateescape")
        return secrets.compare_digest(given, self.token.encode())


def _is_loopback(name: str) -> bool:
    return name == "localhost" or (_is_address(name) and ip_address(name).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
