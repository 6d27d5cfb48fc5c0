"""What a relay is told on its command line, checked: each mistake is one clear line."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from msgspec import Struct

from node.core.rate_limit import BadRateLimit, RateLimit, parse_rate_limit
from node.io import certificates
from node.io.errors import BAD_INPUT, Refused
from node.keys import BadKey, NodePrivate, NodePublic
from node.wire.derp_login import parse_mesh_key
from node.wire.endpoint import Endpoint, parse_endpoint
from node.wire.malformed import Malformed

if TYPE_CHECKING:
    from argparse import Namespace

    from node.netmap import DerpNode

HTTPS, STUN = 443, 3478


class MeshSettings(Struct, frozen=True):
    """The other relays of the region, and the secret that they share."""

    relays: tuple[DerpNode, ...]
    key: bytes
    ca_file: str | None


class Settings(Struct, frozen=True):
    """The arguments of `node derper`, looked at."""

    hostname: str
    listen: tuple[Endpoint, ...]
    context: ssl.SSLContext | None
    pin: str | None
    derp_key: NodePrivate
    stun_port: int | None
    tap: BinaryIO | None = None
    mesh: MeshSettings | None = None
    allow_keys: Path | None = None
    verify_url: str | None = None
    fail_open: bool = True
    rate_config: Path | None = None
    accepts: tuple[float, float] | None = None
    stun_for_all: bool = False


def arguments(argv: Sequence[str]) -> Namespace:
    from argparse import ArgumentParser  # late: 10 ms that nobody else needs

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
    return parser.parse_args(argv)


def settings_from(args: Namespace) -> Settings:
    endpoints = _endpoints(args.listen)
    private = _derp_key(args.derp_key)
    if sum((args.self_signed, args.plain_http, args.cert is not None or args.key is not None)) != 1:
        raise Refused("give --cert F and --key F, or --self-signed, or --plain-http", BAD_INPUT)
    if args.plain_http and any(endpoint.port == HTTPS for endpoint in endpoints):
        raise Refused("--plain-http needs --listen with a port other than 443", BAD_INPUT)
    if not 0 <= args.stun_port <= 0xFFFF:
        raise Refused(f"--stun-port {args.stun_port}: not a port", BAD_INPUT)
    url = args.verify_client_url
    if url is not None and not url.startswith(("http://", "https://")):
        raise Refused(f"--verify-client-url {url}: not an http:// or https:// URL", BAD_INPUT)
    context, pin = (None, None) if args.plain_http else _tls(args, private)
    if context is not None and args.keylog is not None:
        _log_keys(context, args.keylog)
    return Settings(
        hostname=args.hostname,
        listen=endpoints,
        context=context,
        pin=pin,
        derp_key=private,
        stun_port=args.stun_port or None,
        tap=_tap(args.tap),
        mesh=_mesh(args),
        allow_keys=args.allow_keys,
        verify_url=url,
        fail_open=not args.verify_client_url_fail_closed,
        rate_config=args.rate_config,
        accepts=_accepts(args.accept_connection_limit, args.accept_connection_burst),
        stun_for_all=args.stun_for_all,
    )


def _accepts(limit: float | None, burst: float | None) -> tuple[float, float] | None:
    if limit is None:
        if burst is not None:
            raise Refused("--accept-connection-burst needs --accept-connection-limit", BAD_INPUT)
        return None
    if not 0 < limit < 1e9:
        raise Refused(f"--accept-connection-limit {limit:g}: not a number over 0", BAD_INPUT)
    if burst is not None and not 1 <= burst < 1e9:
        raise Refused(f"--accept-connection-burst {burst:g}: not a number from 1 on", BAD_INPUT)
    return limit, max(1.0, limit) if burst is None else burst


def _mesh(args: Namespace) -> MeshSettings | None:
    if args.mesh_key is None:
        if args.mesh_with:
            raise Refused("--mesh-with needs --mesh-key F", BAD_INPUT)
        return None
    try:
        key = parse_mesh_key(args.mesh_key.read_text(errors="replace").strip())
    except OSError as error:
        raise Refused(f"--mesh-key {args.mesh_key}: {error.strerror}", BAD_INPUT) from None
    except ValueError as problem:
        raise Refused(f"--mesh-key {args.mesh_key}: {problem}", BAD_INPUT) from None
    try:
        relays = tuple(_other_relay(text) for text in args.mesh_with)
    except ValueError as problem:
        raise Refused(f"--mesh-with: {problem}", BAD_INPUT) from None
    return MeshSettings(relays, key, None if args.ca is None else str(args.ca))


def _other_relay(text: str) -> DerpNode:
    """`HOST[:PORT][/ADDRESS]`: the name in its certificate, and where to dial if not there."""
    from node.netmap import DerpNode  # late, as all that only a mesh needs

    name, _, address = text.partition("/")
    host, colon, port = name.partition(":")
    if not host or (colon and not port.isdecimal()) or not 0 < int(port or 443) <= 0xFFFF:
        raise ValueError(f"{text!r} is not HOST[:PORT][/ADDRESS]")
    ipv6 = address if ":" in address else None
    ipv4 = (address or None) if ipv6 is None else None
    return DerpNode(host, 0, host, ipv4, ipv6, derp_port=int(port or 443))


def _endpoints(texts: Sequence[str]) -> tuple[Endpoint, ...]:
    try:
        given = tuple(parse_endpoint(text) for text in texts)
    except Malformed as problem:
        raise Refused(f"--listen: {problem}", BAD_INPUT) from None
    everywhere = "::" if os.path.exists("/proc/net/if_inet6") else "0.0.0.0"
    return given or (Endpoint(everywhere, HTTPS),)


def _tap(path: Path | None) -> BinaryIO | None:
    try:
        return None if path is None else path.open("wb", buffering=0)
    except OSError as error:
        raise Refused(f"--tap {path}: {error.strerror}", BAD_INPUT) from None


def _tls(args: Namespace, derp_key: NodePrivate) -> tuple[ssl.SSLContext, str | None]:
    if args.self_signed:
        chain, key = certificates.self_signed(args.hostname)
        return certificates.server_context(chain, key, derp_key.public), certificates.pin(chain)
    if args.cert is None or args.key is None:
        raise Refused("--cert and --key go together", BAD_INPUT)
    chain = certificates.read_pem(args.cert, "--cert")
    key = certificates.read_pem(args.key, "--key")
    return certificates.server_context(chain, key, derp_key.public), None


def _log_keys(context: ssl.SSLContext, path: Path) -> None:
    """In the form of NSS, which Wireshark reads (tls.keylog_file); nobody else's to read, from the start."""
    try:
        path.touch(mode=0o600)
        path.chmod(0o600)
        context.keylog_filename = str(path)
    except OSError as error:
        raise Refused(f"--keylog {path}: {error.strerror}", BAD_INPUT) from None


def _derp_key(path: Path | None) -> NodePrivate:
    """`privkey:` + 64 hex digits, alone or in the JSON of a real server's configuration file."""
    if path is None:
        return NodePrivate.from_seed(os.urandom(32))
    try:
        if not path.exists():
            private = NodePrivate.from_seed(os.urandom(32))
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(private.to_file_text() + "\n")
            return private
        text = path.read_text(errors="replace").strip()
    except OSError as error:
        raise Refused(f"--derp-key {path}: {error.strerror}", BAD_INPUT) from None
    try:
        return NodePrivate.parse(_config_key(text) if text.startswith("{") else text)
    except (BadKey, ValueError) as problem:
        raise Refused(f"--derp-key {path}: {problem}", BAD_INPUT) from None


def _config_key(text: str) -> str:
    import json

    fields = json.loads(text)
    return str(fields.get("PrivateKey", ""))


def rate_limit(path: Path | None) -> RateLimit | None:
    if path is None:
        return None
    try:
        return parse_rate_limit(path.read_text(errors="replace"))
    except OSError as error:
        raise Refused(f"--rate-config {path}: {error.strerror}", BAD_INPUT) from None
    except BadRateLimit as problem:
        raise Refused(f"--rate-config {path}: {problem}", BAD_INPUT) from None


def allowed_keys(path: Path | None) -> frozenset[NodePublic] | None:
    """One `nodekey:` a line; what follows `#` is for people. None: everybody may come in."""
    if path is None:
        return None
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError as error:
        raise Refused(f"--allow-keys {path}: {error.strerror}", BAD_INPUT) from None
    keys = set()
    for number, line in enumerate(lines, 1):
        if text := line.partition("#")[0].strip():
            try:
                keys.add(NodePublic.parse(text))
            except BadKey as problem:
                line = f"--allow-keys {path}, line {number}: {problem}"
                raise Refused(line, BAD_INPUT) from None
    return frozenset(keys)
