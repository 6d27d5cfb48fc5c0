"""Which proxy to use for which relay: as told on the command line, else as the environment says."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from node.core.http_connect import Proxy, goes_direct, parse_proxy


class Proxies(Struct, frozen=True):
    """Which proxy leads to relays, and which hosts are reached without (`NO_PROXY`)."""

    proxy: Proxy | None = None
    no_proxy: str = ""

    def way_to(self, host: str) -> Proxy | None:
        return None if goes_direct(host, self.no_proxy) else self.proxy


def proxies_from(given: str | None, environment: Mapping[str, str]) -> Proxies:
    """`given`: a proxy, "none", or None for HTTPS_PROXY and NO_PROXY. Raises ValueError."""
    if given is not None:
        return Proxies(None if given == "none" else parse_proxy(given))
    text, no_proxy = (
        environment.get(name.lower()) or environment.get(name) or ""
        for name in ("HTTPS_PROXY", "NO_PROXY")
    )
    return Proxies(parse_proxy(text) if text else None, no_proxy)
