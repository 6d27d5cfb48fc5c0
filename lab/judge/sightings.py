"""What moves on which wire, as it moves: a tally a moment, made inside the lab.

It runs in the lab outside all hosts, with a packet socket on the lower end of every wire, and looks at the
first bytes of what passes there. `start` starts it: on its stdin come the wires, as one JSON line of
[name, machine, interface]; on its stdout go sightings (`lab.model.sighting`), one JSON line each, at most
20 times a second and none while nothing moves. It ends with its stdin, with its reader, or with the lab.

A flood costs no more than a look: of each wire only so many packets are read in a moment, the
kernel's short queue drops the rest, and how many these were is told as `unread`.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from lab.client import Lab
from lab.judge.packets import HEAD, Packet, classify
from lab.model.plan import Plan
from lab.model.sighting import Sighting, Way, to_line

MOMENT = 0.05  # seconds of one tally
LOOKED_AT = 64  # packets of one wire in a moment

_QUEUE = 128 << 10  # bytes: about as many packets as are looked at
_ALL = 0x0003  # ETH_P_ALL: only a socket for all protocols sees what goes out
_OUTGOING = 4  # PACKET_OUTGOING
_SOL_PACKET, _STATISTICS = 263, 6
_IP = (0x0800, 0x86DD)
_NAMESPACES = Path("/run/netns")  # the lab's own


def start(lab: Lab, plan: Plan) -> subprocess.Popen[str]:
    """Sightings of all of the plan's wires, as lines; closing its stdin ends it."""
    argv = [sys.executable, "-m", "lab.judge.sightings"]
    pipe = subprocess.PIPE
    process = lab.popen(None, argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1)
    wires = [[wire.name, *wire.a] for wire in plan.wires]
    with contextlib.suppress(BrokenPipeError):  # it has ended already, and says so on stderr
        process.stdin.write(json.dumps(wires) + "\n")  # type: ignore[union-attr]
    return process


class Lookout:
    """One end of one wire."""

    def __init__(self, wire: str, interface: str) -> None:
        """In the namespace of the machine, which the calling thread is in."""
        self.wire = wire
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _QUEUE)
        self.socket.bind((interface, _ALL))
        self._head = bytearray(HEAD)

    def tally(self, at: float) -> Iterator[Sighting]:
        counts: Counter[tuple[Way, Packet]] = Counter()
        sizes: Counter[tuple[Way, Packet]] = Counter()
        for way, packet, size in self._packets():
            if packet is not None:
                counts[way, packet] += 1
                sizes[way, packet] += size
        for (way, packet), count in counts.items():
            bytes_ = sizes[way, packet]
            kind, source, target, by_peer_relay = packet
            yield Sighting(at, self.wire, way, kind, source, target, count, bytes_, by_peer_relay)
        if dropped := self._dropped():
            yield Sighting(at, self.wire, "up", "unread", "", "", dropped, 0)

    def _packets(self) -> Iterator[tuple[Way, Packet | None, int]]:
        for _ in range(LOOKED_AT):
            try:
                size, about = self.socket.recvfrom_into(self._head, HEAD, socket.MSG_TRUNC)
            except OSError:  # there is no more, or the cable was just moved
                return
            way: Way = "up" if about[2] == _OUTGOING else "down"
            head = bytes(self._head[: min(size, HEAD)])
            yield way, classify(head, size) if about[1] in _IP else None, size

    def _dropped(self) -> int:
        """Since it was last asked (packet(7))."""
        told = self.socket.getsockopt(_SOL_PACKET, _STATISTICS, 8)
        dropped: int = struct.unpack("=II", told)[1]
        return dropped


def lookouts(wires: Iterable[tuple[str, str, str]]) -> list[Lookout]:
    """Enters the namespace of each machine in turn, and stays in the last."""
    found = []
    for name, machine, interface in wires:
        enter(machine)
        found.append(Lookout(name, interface))
    return found


def enter(machine: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with (_NAMESPACES / machine).open() as namespace:
        if libc.setns(namespace.fileno(), 0x40000000) != 0:  # CLONE_NEWNET
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), machine)


def watch(found: list[Lookout], stdin: int) -> None:
    """Tells the first packet at once, and then a moment's packets together."""
    poll = select.poll()
    poll.register(stdin, select.POLLIN)
    for each in found:
        poll.register(each.socket, select.POLLIN)
    by_fd = {each.socket.fileno(): each for each in found}
    while True:
        ready = [fd for fd, _ in poll.poll()]
        if stdin in ready and not os.read(stdin, 4096):
            return
        at = time.monotonic()
        lines = [to_line(each) for fd in ready if fd in by_fd for each in by_fd[fd].tally(at)]
        if lines:
            print(*lines, sep="\n", flush=True)
        time.sleep(MOMENT)


def main() -> None:
    with open(sys.stdin.fileno(), "rb", buffering=0) as stdin:  # poll sees what a buffer would hide
        wires: list[tuple[str, str, str]] = [tuple(each) for each in json.loads(stdin.readline())]
        with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
            watch(lookouts(wires), stdin.fileno())
    os._exit(0)  # what was not written has no reader


if __name__ == "__main__":
    main()
