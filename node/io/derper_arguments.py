"""The arguments of `python -m node derper`, and what can be said of them without loading a relay."""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from node.io.errors import BAD_INPUT, Refused
from node.wire.endpoint import Endpoint, parse_endpoint
from node.wire.malformed import Malformed

HTTPS, STUN = 443, 3478


class OtherRelay(NamedTuple):
    """`HOST[:PORT][/ADDRESS]`: the name in its certificate, and where to dial if not there."""

    host: str
    port: int
    address: str | None


def arguments(argv: Sequence[str]) -> Namespace:
    parser = ArgumentParser(prog="python -m node derper", description="Run a DERP relay.")
    parser.add_argument("--hostname", required=True, help="the name (or address) clients use")
    parser.add_argument(
        "--listen", action="append", default=[], metavar="ADDRESS:PORT",
        help="where to listen; may be repeated (default: port 443 on all addresses)",
    )  # fmt: skip
    parser.add_argument("--cert", type=Path, metavar="F", help="certificate chain, PEM")
    parser.add_argument("--key", type=Path, metavar="F", help="its private key, PEM")
    parser.add_argument(
        "--self-signed", action="store_true",
        help="make a certificate; `ready` says its cert_name, by which clients can pin it",
    )  # fmt: skip
    parser.add_argument(
        "--plain-http", action="store_true", help="no TLS at all: for tests, never on port 443"
    )
    parser.add_argument(
        "--derp-key", type=Path, metavar="F",
        help="the server's own key, made there when missing (default: a new one at each start)",
    )  # fmt: skip
    parser.add_argument(
        "--stun-port", type=int, default=STUN, metavar="N", help="UDP port; 0 for none (3478)"
    )
    parser.add_argument(
        "--stun-for-all", action="store_true",
        help="answer any client's STUN, not only what nodes of this kind ask",
    )  # fmt: skip
    parser.add_argument(
        "--tap", type=Path, metavar="F",
        help="write all that clients send to F, as the relay sees it behind TLS: for proofs",
    )  # fmt: skip
    parser.add_argument(
        "--keylog", type=Path, metavar="F", help="append TLS keys there, to open captures with"
    )
    parser.add_argument(
        "--mesh-with", action="append", default=[], metavar="HOST[:PORT][/ADDRESS]",
        help="another relay of this region; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--mesh-key", type=Path, metavar="F", help="the mesh's secret, 64 hex digits"
    )
    parser.add_argument("--ca", type=Path, metavar="F", help="whom to trust about the other relays")
    parser.add_argument(
        "--allow-keys", type=Path, metavar="F",
        help="node keys that may come in, one a line; SIGHUP reads it again",
    )  # fmt: skip
    parser.add_argument("--verify-client-url", metavar="URL", help="ask there about each key")
    parser.add_argument(
        "--verify-client-url-fail-closed", action="store_true",
        help="let nobody in while that URL cannot be reached",
    )  # fmt: skip
    parser.add_argument(
        "--accept-connection-limit", type=float, metavar="N",
        help="new connections a second; those over it are closed at once",
    )  # fmt: skip
    parser.add_argument(
        "--accept-connection-burst", type=float, metavar="N",
        help="how many of them may come at once (default: the limit)",
    )  # fmt: skip
    parser.add_argument(
        "--rate-config", type=Path, metavar="F",
        help="JSON with PerClientRateLimitBytesPerSec, PerClientRateBurstBytes; SIGHUP reads it again",
    )  # fmt: skip
    given = parser.parse_args(argv)
    _check(given)
    return given


def _check(given: Namespace) -> None:
    """Raises Refused. Texts become endpoints, relays and rates."""
    given.listen = _endpoints(given.listen)
    _check_tls(given)
    if not 0 <= given.stun_port <= 0xFFFF:
        raise Refused(f"--stun-port {given.stun_port}: not a port", BAD_INPUT)
    url = given.verify_client_url
    if url is not None and not url.startswith(("http://", "https://")):
        raise Refused(f"--verify-client-url {url}: not an http:// or https:// URL", BAD_INPUT)
    if given.mesh_with and given.mesh_key is None:
        raise Refused("--mesh-with needs --mesh-key F", BAD_INPUT)
    given.mesh_with = [_other_relay(text) for text in given.mesh_with]
    given.accepts = _accepts(given.accept_connection_limit, given.accept_connection_burst)


def _check_tls(given: Namespace) -> None:
    by_file = given.cert is not None or given.key is not None
    if sum((given.self_signed, given.plain_http, by_file)) != 1:
        raise Refused("give --cert F and --key F, or --self-signed, or --plain-http", BAD_INPUT)
    if by_file and (given.cert is None or given.key is None):
        raise Refused("--cert and --key go together", BAD_INPUT)
    if given.plain_http and any(endpoint.port == HTTPS for endpoint in given.listen):
        raise Refused("--plain-http needs --listen with a port other than 443", BAD_INPUT)


def _other_relay(text: str) -> OtherRelay:
    name, _, address = text.partition("/")
    host, colon, port = name.partition(":")
    if not host or (colon and not port.isdecimal()) or not 0 < int(port or HTTPS) <= 0xFFFF:
        raise Refused(f"--mesh-with: {text!r} is not HOST[:PORT][/ADDRESS]", BAD_INPUT)
    return OtherRelay(host, int(port or HTTPS), address or None)


def _accepts(limit: float | None, burst: float | None) -> tuple[float, float] | None:
    """New connections a second, and at once."""
    if limit is None:
        if burst is not None:
            raise Refused("--accept-connection-burst needs --accept-connection-limit", BAD_INPUT)
        return None
    if not 0 < limit < 1e9:
        raise Refused(f"--accept-connection-limit {limit:g}: not a number over 0", BAD_INPUT)
    if burst is not None and not 1 <= burst < 1e9:
        raise Refused(f"--accept-connection-burst {burst:g}: not a number from 1 on", BAD_INPUT)
    return limit, max(1.0, limit) if burst is None else burst


def _endpoints(texts: Sequence[str]) -> tuple[Endpoint, ...]:
    try:
        given = tuple(parse_endpoint(text) for text in texts)
    except Malformed as problem:
        raise Refused(f"--listen: {problem}", BAD_INPUT) from None
    everywhere = "::" if os.path.exists("/proc/net/if_inet6") else "0.0.0.0"
    return given or (Endpoint(everywhere, HTTPS),)
