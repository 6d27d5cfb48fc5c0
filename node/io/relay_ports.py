"""A relay's TCP ports: taken before the rest of it is loaded.

Python needs longer to load a relay than a node to dial it. Who comes meanwhile waits in the kernel's queue,
and is not refused. (STUN has no queue: an answer that is late tells of a distance that is none.)
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

from node.io.errors import CANNOT_HERE, Refused
from node.wire.endpoint import Endpoint

BACKLOG = 1024


def take_ports(endpoints: Iterable[Endpoint]) -> list[socket.socket]:
    """Raises Refused."""
    return [_take(endpoint) for endpoint in endpoints]


def _take(endpoint: Endpoint) -> socket.socket:
    try:
        return _listen(*endpoint)
    except OSError as error:
        raise Refused(f"cannot listen on TCP {endpoint}: {error.strerror}", CANNOT_HERE) from None


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address != "::")
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
