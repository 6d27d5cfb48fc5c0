"""Whether the near end of a cable knows by now what became of the far one.

The kernel tells an interface of its carrier a little later, by a worker of its own. A carrier that is back
before its loss was told was never gone; and as long as it is not told, what the near end sends is lost.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import time
from functools import partial

from lab.world.bends import End
from lab.world.build import World

_GET_FLAGS, _UP, _RUNNING = 0x8913, 0x1, 0x40  # SIOCGIFFLAGS, IFF_UP, IFF_RUNNING
_TOLD_WITHIN = 5.0  # seconds; the kernel tells once a second at least, and is late when it is busy
_LOOK_AGAIN = 0.001


def wait(world: World, end: End, running: bool) -> None:
    """Until this end of a cable knows."""
    net, until = world.namespaces[end[0]].fd, time.monotonic() + _TOLD_WITHIN
    knows = partial(_knows, end[1], running)
    while not world.visitor.inside(net, knows) and time.monotonic() < until:
        time.sleep(_LOOK_AGAIN)


def _knows(name: str, running: bool) -> bool:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            answer = fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack("16s24x", name.encode()))
    except OSError:  # somebody took it away
        return True
    flags: int = struct.unpack_from("=H", answer, 16)[0]
    return bool(flags & _RUNNING) == running or not flags & _UP
