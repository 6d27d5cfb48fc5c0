"""A running relay: its server, its sockets, and what they tell one another."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from node.core.relay_link import ClientConnected, ClientGone, Forward, Link, Verify
from node.core.relay_server import RelayServer
from node.io.derper_settings import MeshSettings, Settings, allowed_keys, rate_limit
from node.io.errors import CANNOT_HERE, Refused
from node.io.events import EventLog
from node.io.loop import Loop
from node.io.relay_listener import Aside, RelayListener
from node.io.relay_numbers import RelayNumbers
from node.io.stun_server import StunServer
from node.wire.endpoint import Endpoint

if TYPE_CHECKING:  # loaded only when asked for: a relay alone starts sooner
    from node.io.admission import Doorkeeper
    from node.io.relay_mesh import MeshPeer


class Derper:
    """Everything running; all ports are ours once this is made."""

    def __init__(self, loop: Loop, settings: Settings, sockets: Sequence[socket.socket]) -> None:
        self.server = RelayServer(
            settings.derp_key,
            random=os.urandom,
            mesh_key=settings.mesh.key if settings.mesh else None,
            allowed=allowed_keys(settings.allow_keys),
            verify_outside=settings.verify_url is not None,
            rate_limit=rate_limit(settings.rate_config),
            accepts=settings.accepts,
        )
        self._loop, self._settings = loop, settings
        self._events = EventLog(loop, sys.stdout.fileno(), settings.hostname)
        self._stun = _take_stun_ports(loop, settings)
        self._listener = RelayListener(
            loop, self.server, settings.context, sockets, self._aside, settings.tap
        )
        numbers = RelayNumbers(loop, self._stun, self._listener.connections)
        self.server.outside = numbers.metrics
        self._doorkeeper = self._hire_doorkeeper(settings.verify_url)
        self._events.write("ready", self._description(sockets))
        self._mesh = self._join_mesh(settings.mesh) if settings.mesh else {}

    def reload(self) -> None:
        """SIGHUP: keys and rates anew; a bad file changes nothing. Who is in stays in."""
        try:
            allowed = allowed_keys(self._settings.allow_keys)
            self.server.rate_limit = rate_limit(self._settings.rate_config)
            self.server.allowed = allowed
        except Refused as problem:
            print(f"derper: {problem}", file=sys.stderr)
        else:
            self._events.write("reloaded", {})

    def stop(self) -> None:
        for peer in self._mesh.values():
            peer.close()
        self._listener.close()
        for stun in self._stun:
            stun.close()
        self._events.write("stopped", {})
        self._loop.stop()

    def _hire_doorkeeper(self, url: str | None) -> Doorkeeper | None:
        if url is None:
            return None
        from node.io.admission import Doorkeeper

        return Doorkeeper(self._loop, url, self._settings.fail_open)

    def _join_mesh(self, mesh: MeshSettings) -> dict[Hashable, MeshPeer]:
        from node.io.relay_mesh import MeshPeer

        private = self._settings.derp_key
        handle, note = self._listener.handle, self._events.write
        peers = [
            MeshPeer(self._loop, self.server, private, relay, mesh, handle, note)
            for relay in mesh.relays
        ]
        return {peer.name: peer for peer in peers}

    def _aside(self, output: Aside) -> None:
        match output:
            case Forward(forwarder, frames):
                self._mesh[forwarder].forward(frames)
            case Verify(link, key):
                assert self._doorkeeper is not None
                self._doorkeeper.ask(
                    key, link.source.address, lambda allowed: self._answered(link, allowed)
                )
            case ClientConnected(peer, source):
                self._events.write("client_connected", {"peer": str(peer), "from": str(source)})
            case ClientGone(peer):
                self._events.write("client_gone", {"peer": str(peer)})

    def _answered(self, link: Link, allowed: bool) -> None:
        self._listener.handle(self.server.verified(link, allowed, self._loop.now()))
        self._listener.resume(link)

    def _description(self, sockets: Sequence[socket.socket]) -> dict[str, object]:
        at = [str(Endpoint(*sock.getsockname()[:2])) for sock in sockets]
        fields: dict[str, object] = {
            "hostname": self._settings.hostname,
            "listen": at[0] if len(at) == 1 else at,
            "stun": self._stun[0].port if self._stun else None,
            "derp_key": str(self.server.key),
        }
        pin = self._settings.pin
        return fields if pin is None else fields | {"cert_name": pin}


def _take_stun_ports(loop: Loop, settings: Settings) -> list[StunServer]:
    if settings.stun_port is None:
        return []
    servers = []
    for endpoint in settings.listen:
        at = Endpoint(endpoint.address, settings.stun_port)
        try:
            servers.append(StunServer(loop, *at, strict=not settings.stun_for_all))
        except OSError as error:
            line = f"cannot listen on UDP {at} for STUN: {error.strerror}"
            raise Refused(line, CANNOT_HERE) from None
    return servers


def run(settings: Settings, sockets: Sequence[socket.socket]) -> None:
    loop = Loop()
    running: list[Derper] = []  # the loop starts after it is filled
    loop.on_signals((signal.SIGTERM, signal.SIGINT), lambda: running[0].stop())
    loop.on_signals((signal.SIGHUP,), lambda: running[0].reload())
    running.append(Derper(loop, settings, sockets))
    gc.freeze()  # what is loaded stays; to search it for garbage would keep everybody waiting
    loop.run()
