"""What the arguments of a relay stand for, read and made: each mistake is one clear line."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from msgspec import Struct

from node.core.rate_limit import BadRateLimit, RateLimit, parse_rate_limit
from node.io import certificates
from node.io.errors import BAD_INPUT, Refused
from node.keys import BadKey, NodePrivate, NodePublic
from node.wire.derp_login import parse_mesh_key
from node.wire.endpoint import Endpoint

if TYPE_CHECKING:
    from argparse import Namespace

    from node.io.derper_arguments import OtherRelay
    from node.netmap import DerpNode


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


def settings_from(args: Namespace) -> Settings:
    private = _derp_key(args.derp_key)
    context, pin = (None, None) if args.plain_http else _tls(args, private)
    if context is not None and args.keylog is not None:
        _log_keys(context, args.keylog)
    return Settings(
        hostname=args.hostname,
        listen=args.listen,
        context=context,
        pin=pin,
        derp_key=private,
        stun_port=args.stun_port or None,
        tap=_tap(args.tap),
        mesh=_mesh(args),
        allow_keys=args.allow_keys,
        verify_url=args.verify_client_url,
        fail_open=not args.verify_client_url_fail_closed,
        rate_config=args.rate_config,
        accepts=args.accepts,
        stun_for_all=args.stun_for_all,
    )


def _mesh(args: Namespace) -> MeshSettings | None:
    if args.mesh_key is None:
        return None
    try:
        key = parse_mesh_key(args.mesh_key.read_text(errors="replace").strip())
    except OSError as error:
        raise Refused(f"--mesh-key {args.mesh_key}: {error.strerror}", BAD_INPUT) from None
    except ValueError as problem:
        raise Refused(f"--mesh-key {args.mesh_key}: {problem}", BAD_INPUT) from None
    relays = tuple(map(_node, args.mesh_with))
    return MeshSettings(relays, key, None if args.ca is None else str(args.ca))


def _node(relay: OtherRelay) -> DerpNode:
    from node.netmap import DerpNode  # late, as all that only a mesh needs

    host, port, address = relay
    is_ipv6 = address is not None and ":" in address
    ipv4, ipv6 = (None, address) if is_ipv6 else (address, None)
    return DerpNode(host, 0, host, ipv4, ipv6, derp_port=port)


def _tap(path: Path | None) -> BinaryIO | None:
    try:
        return None if path is None else path.open("wb", buffering=0)
    except OSError as error:
        raise Refused(f"--tap {path}: {error.strerror}", BAD_INPUT) from None


def _tls(args: Namespace, derp_key: NodePrivate) -> tuple[ssl.SSLContext, str | None]:
    try:
        return _context(args, derp_key)
    except certificates.BadCertificate as bad:
        raise Refused(str(bad), BAD_INPUT) from None


def _context(args: Namespace, derp_key: NodePrivate) -> tuple[ssl.SSLContext, str | None]:
    if args.self_signed:
        chain, key = certificates.self_signed(args.hostname)
        return certificates.server_context(chain, key, derp_key.public), certificates.pin(chain)
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
