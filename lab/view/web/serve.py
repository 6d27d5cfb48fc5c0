"""The server's life: it listens, shows one lab until that is gone or somebody presses Ctrl-C, and ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from aiohttp import web

from lab.client import Lab
from lab.errors import BadRequest, LabError
from lab.view.web import changes
from lab.view.web.app import app
from lab.view.web.door import Door
from lab.view.web.show import Item, Show
from lab.view.web.sketch import Pair, sketch

Put: TypeAlias = Callable[[Item | None], None]
OpenFeed: TypeAlias = Callable[[Put], AbstractContextManager[object]]

LARGEST_PORT = 65535
PATIENCE = 1.0  # seconds for open connections at the end


@dataclass(frozen=True, slots=True)
class Entrance:
    """A port that is ours, and who may come in by it."""

    socket: socket.socket
    door: Door

    def announced(self) -> Iterator[str]:
        """Where to look, and what an open door means."""
        host = f"[{self.door.host}]" if ":" in self.door.host else self.door.host
        yield f"http://{host}:{self.socket.getsockname()[1]}/#{self.door.token}"
        if self.door.is_open:
            yield (
                f"Open to all that reach {self._reached_at()}: anybody can look on, and whoever has this "
                "whole address can change the lab. Nothing is encrypted."
            )
        yield "Ctrl-C ends it."

    def _reached_at(self) -> str:
        host = self.door.host
        return f"this machine, by its own address for {host}" if host in ("0.0.0.0", "::") else host


def entrance(host: str, port: int) -> Entrance:
    """Listens; before anything is started, so that a port in use is told at once."""
    if port > LARGEST_PORT:
        raise BadRequest(f"{port} is no port", f"one has a number up to {LARGEST_PORT}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except socket.gaierror:
        raise LabError(f"{host} is no address of this machine") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = f"--port {port + 1} takes the next one, --port 0 any that is free"
            raise LabError(f"port {port} of {host} is in use already", hint) from None
        raise LabError(f"cannot listen at {host} port {port}: {error.strerror}") from None
    return Entrance(listener, Door(host))


def serve(
    by: Entrance, lab: Lab, feed: OpenFeed, pinged: Pair | None, say: Callable[[str], None]
) -> None:
    """Returns when the lab is gone, or when somebody ends us."""
    with by.socket:
        asyncio.run(_serve(by, lab, feed, pinged, say))


async def _serve(
    by: Entrance, lab: Lab, feed: OpenFeed, pinged: Pair | None, say: Callable[[str], None]
) -> None:
    show = Show(lab.plan(), lambda: (sketch(lab, pinged), lab.plan()))
    change = partial(changes.change, lab)
    runner = web.AppRunner(app(show, by.door, change), access_log=None, shutdown_timeout=PATIENCE)
    await runner.setup()
    await web.SockSite(runner, by.socket).start()
    running = asyncio.create_task(show.run())
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(name, running.cancel)
    try:
        with feed(show.put), contextlib.suppress(asyncio.CancelledError):
            for line in by.announced():
                say(line)
            await running
    finally:
        show.viewers.send(None)
        await runner.cleanup()
