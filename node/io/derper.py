"""The relay as a program: `python -m node derper --hostname nyc.derp.example ...`.

DERP over TLS on TCP 443 and STUN on UDP 3478, until SIGTERM or SIGINT. Events go to stdout as JSON
lines: `ready`, `client_connected`, `client_gone`, `stopped`. Exit status 2: something given is wrong;
3: this machine cannot do it.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from node.core.relay_link import ClientConnected, ClientGone
from node.core.relay_server import RelayServer
from node.io import certificates
from node.io.events import EventLog
from node.io.loop import READ, Loop
from node.io.relay_listener import Aside, RelayListener, listen
from node.io.stun_server import StunServer
from node.keys import BadKey, NodePrivate
from node.wire.endpoint import Endpoint, parse_endpoint
from node.wire.malformed import Malformed

if TYPE_CHECKING:
    from argparse import Namespace

BAD_INPUT, CANNOT_HERE = 2, 3
HTTPS, STUN = 443, 3478


class Refused(Exception):
    def __init__(self, line: str, status: int) -> None:
        super().__init__(line)
        self.status = status


@dataclass(frozen=True, slots=True)
class Settings:
    hostname: str
    listen: tuple[Endpoint, ...]
    context: ssl.SSLContext | None
    pin: str | None
    derp_key: NodePrivate
    stun_port: int | None
    tap: BinaryIO | None


class Derper:
    """Everything running; all ports are ours once this is made."""

    def __init__(self, loop: Loop, settings: Settings) -> None:
        self.server = RelayServer(settings.derp_key, random=os.urandom)
        self._loop = loop
        self._events = EventLog(loop, sys.stdout.fileno(), settings.hostname)
        sockets = [_take_port(endpoint) for endpoint in settings.listen]
        self._stun = _take_stun_ports(loop, settings)
        self._listener = RelayListener(
            loop, self.server, settings.context, sockets, self._note, settings.tap
        )
        self._events.write("ready", self._description(settings, sockets))

    def stop(self) -> None:
        self._listener.close()
        for stun in self._stun:
            stun.close()
        self._events.write("stopped", {})
        self._loop.stop()

    def _note(self, output: Aside) -> None:
        match output:
            case ClientConnected(peer, source):
                self._events.write("client_connected", {"peer": str(peer), "from": str(source)})
            case ClientGone(peer):
                self._events.write("client_gone", {"peer": str(peer)})

    def _description(
        self, settings: Settings, sockets: Sequence[socket.socket]
    ) -> dict[str, object]:
        at = [str(Endpoint(*sock.getsockname()[:2])) for sock in sockets]
        fields: dict[str, object] = {
            "hostname": settings.hostname,
            "listen": at[0] if len(at) == 1 else at,
            "stun": self._stun[0].port if self._stun else None,
            "derp_key": str(self.server.key),
        }
        return fields if settings.pin is None else fields | {"cert_name": settings.pin}


def _take_port(endpoint: Endpoint) -> socket.socket:
    try:
        return listen(*endpoint)
    except OSError as error:
        raise Refused(f"cannot listen on TCP {endpoint}: {error.strerror}", CANNOT_HERE) from None


def _take_stun_ports(loop: Loop, settings: Settings) -> list[StunServer]:
    if settings.stun_port is None:
        return []
    servers = []
    for endpoint in settings.listen:
        at = Endpoint(endpoint.address, settings.stun_port)
        try:
            servers.append(StunServer(loop, *at))
        except OSError as error:
            line = f"cannot listen on UDP {at} for STUN: {error.strerror}"
            raise Refused(line, CANNOT_HERE) from None
    return servers


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
        "--tap", type=Path, metavar="F",
        help="write all that clients send to F, as the relay sees it behind TLS: for proofs",
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
    context, pin = (None, None) if args.plain_http else _tls(args, private)
    stun_port, tap = args.stun_port or None, _tap(args.tap)
    return Settings(args.hostname, endpoints, context, pin, private, stun_port, tap)


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
        text = path.read_text().strip()
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


def run(settings: Settings) -> None:
    loop = Loop()
    wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os.eventfd_write(wake, 1))
    derper = Derper(loop, settings)
    loop.watch(wake, READ, lambda _events: derper.stop())
    loop.run()


def main(argv: Sequence[str]) -> int:
    try:
        run(settings_from(arguments(argv)))
    except Refused as refused:
        print(f"derper: {refused}", file=sys.stderr)
        return refused.status
    except certificates.BadCertificate as bad:
        print(f"derper: {bad}", file=sys.stderr)
        return BAD_INPUT
    return 0
