"""Packet sockets for captures, opened in the machines' namespaces and given to whoever asks.

Where the lab was brought up to be captured from its first packet on, they are open before the daemons are,
and their rings keep what passes until the capture takes them over.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from lab.capture import ring
from lab.errors import BadRequest, LabError
from lab.world.build import World
from lab.world.control import Answer, Handler

T = TypeVar("T")
FROM_START = "capture"  # a file in the lab's folder that asks for it


class Tapping:
    def __init__(self, world: World, folder: Path) -> None:
        self._world = world
        self._waiting: dict[str, socket.socket] = {}
        if (folder / FROM_START).exists():
            names = [machine.name for machine in world.plan.machines]
            self._blocks = ring.blocks_for(len(names))
            for name in names:
                self._waiting[name] = self._open(name, self._blocks, ring.RETIRE_WAITING)
                ring.listen(self._waiting[name])

    def handlers(self) -> dict[str, Handler]:
        return {"taps": self._taps}

    def _taps(self, question: Mapping[str, Any]) -> Answer:
        """A socket for each of these `hosts`, which are part of a capture `of` so many."""
        hosts: list[str] = question["hosts"]
        if unknown := set(hosts) - set(self._world.namespaces):
            raise BadRequest(f"there is no machine {', '.join(sorted(unknown))} in this lab")
        blocks = ring.blocks_for(question["of"])
        told, sockets = [], []
        for host in hosts:
            waiting = self._waiting.pop(host, None)
            sockets.append(waiting or self._open(host, blocks, ring.RETIRE))
            told.append(
                {
                    "name": host,
                    "interfaces": self._inside(host, socket.if_nameindex),
                    "is_listening": waiting is not None,
                    "blocks": self._blocks if waiting else blocks,
                }
            )
        fds = tuple(each.detach() for each in sockets)
        return Answer({"machines": told}, fds, gives_away=True)

    def _open(self, host: str, blocks: int, retire: int) -> socket.socket:
        # Protocol 0: nothing is taken until somebody listens.
        tap = self._inside(host, partial(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0))
        try:
            ring.make(tap, blocks, retire)
        except OSError as error:
            tap.close()
            raise LabError(f"{host}: no ring for its packets: {error.strerror}") from None
        return tap

    def _inside(self, host: str, errand: Callable[[], T]) -> T:
        return self._world.visitor.inside(self._world.namespaces[host].fd, errand)
