"""The packet sockets of a lab's machines, which its keeper opens in their namespaces and hands over."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab.ask import ask_for_fds
from lab.capture import pcapng
from lab.capture.ring import Ring, listen

BATCH = 32  # machines of one question
SIOCGIFNAME, SIOCGIFHWADDR = 0x8910, 0x8927
LINK_TYPES = {1: pcapng.ETHERNET, 772: pcapng.ETHERNET, 0xFFFE: pcapng.RAW_IP}  # by ARPHRD_*


@dataclass(frozen=True, slots=True)
class Interface:
    number: int  # in the file
    name: str
    link_type: int


@dataclass(slots=True)
class Tap:
    machine: str
    socket: socket.socket
    ring: Ring
    only: str  # this interface alone; empty: all
    known: dict[int, str]  # interfaces that were there when it was opened
    is_from_start: bool  # since before the daemons were there
    interfaces: dict[int, Interface | None] = field(default_factory=dict)  # None: not wanted

    def name(self, index: int) -> str:
        """Asked in the namespace that the socket was opened in, wherever we are."""
        if index not in self.known:
            told = self._ioctl(SIOCGIFNAME, struct.pack("16si20x", b"", index))
            self.known[index] = told[:16].split(b"\0")[0].decode()
        return self.known[index]

    def link_type(self, name: str) -> int | None:
        told = self._ioctl(SIOCGIFHWADDR, struct.pack("16s24x", name.encode()))
        return LINK_TYPES.get(struct.unpack_from("H", told, 16)[0])

    def _ioctl(self, request: int, about: bytes) -> bytes:
        try:
            return fcntl.ioctl(self.socket, request, about)
        except OSError:  # it is gone already
            return bytes(len(about))


@contextmanager
def tapped(folder: Path, machines: Mapping[str, str]) -> Iterator[list[Tap]]:
    """`machines`: each with the one interface that is wanted, or an empty text for all of them."""
    with ExitStack() as at_the_end:
        taps: list[Tap] = []
        names = list(machines)
        for start in range(0, len(names), BATCH):
            batch = names[start : start + BATCH]
            answer, fds = ask_for_fds(folder, "taps", hosts=batch, of=len(names))
            sockets = [at_the_end.enter_context(socket.socket(fileno=fd)) for fd in fds]
            for told, each in zip(answer["machines"], sockets, strict=True):
                only = machines[told["name"]]
                from_start: bool = told["is_listening"]
                known: dict[int, str] = dict(told["interfaces"])
                if not from_start:
                    indexes = {name: index for index, name in known.items()}
                    listen(each, indexes.get(only, 0))  # one that comes later is picked out by name
                ring = Ring(each, told["blocks"])
                at_the_end.callback(ring.close)
                taps.append(Tap(told["name"], each, ring, only, known, from_start))
        yield taps
