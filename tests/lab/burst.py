"""A burst from equal ports of two hosts behind each router: which external endpoints a server sees.

Every socket sends to every destination, each in an order of its own, before anybody reads. What a router
refused is sent again, as any application would.
"""

from __future__ import annotations

import json
import random
import select
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

from tests.lab.visiting import bound, go_round

if TYPE_CHECKING:  # not needed inside
    from lab.client import Lab

DESTINATIONS = tuple(product(("192.0.2.10", "192.0.2.20"), (7001, 7002)))
FIRST_PORT = 20_000
AGAIN, PATIENCE = 0.2, 20.0  # seconds of silence until what is missing is sent again; and in all

Endpoint = tuple[str, int]
Seen = dict[str, dict[Endpoint, list[Endpoint]]]


def burst(lab: Lab, routers: Sequence[str], ports: int) -> Seen:
    """By router and inside socket (host and port): the external endpoint at each destination."""
    machines = ["judge", *routers, *(f"{router}-{n}" for router in routers for n in (1, 2))]
    said = go_round(lab, machines, "tests.lab.burst", list(routers), ports)
    return {
        router: {
            (host, port): [(address, number) for address, number in seen]
            for host, port, seen in said[router]
        }
        for router in routers
    }


# --- inside


class Server:
    """A socket at each destination, and who was seen where."""

    def __init__(self, network: int) -> None:
        self._ears = [bound(network, *each) for each in DESTINATIONS]
        for each in self._ears:
            each.setsockopt(socket.SOL_SOCKET, 33, 1 << 24)  # SO_RCVBUFFORCE
        self.seen: dict[tuple[str, int, int], Endpoint] = {}

    def listen(self) -> None:
        """Until nothing has come for a moment."""
        while ready := select.select(self._ears, [], [], AGAIN)[0]:
            for each in ready:
                data, source = each.recvfrom(100)
                host, port = data.decode().split()
                self.seen[host, int(port), self._ears.index(each)] = source


def rush(networks: Mapping[str, int], server: Server, router: str, ports: int) -> list[object]:
    inside = {
        (host, port): bound(networks[host], "", port)
        for host in (f"{router}-1", f"{router}-2")
        for port in range(FIRST_PORT, FIRST_PORT + ports)
    }
    wanted = [(*each, n) for each in inside for n in range(len(DESTINATIONS))]
    random.Random(router).shuffle(wanted)
    until = time.monotonic() + PATIENCE
    while (missing := [each for each in wanted if each not in server.seen]) and (
        time.monotonic() < until
    ):
        for host, port, n in missing:
            inside[host, port].sendto(f"{host} {port}".encode(), DESTINATIONS[n])
        server.listen()
    for each in inside.values():
        each.close()
    return [[*each, list(_seen(server, *each))] for each in inside]


def _seen(server: Server, host: str, port: int) -> Iterator[Endpoint]:
    for n in range(len(DESTINATIONS)):
        if (source := server.seen.get((host, port, n))) is not None:
            yield source


def main() -> None:
    networks, routers, ports = json.loads(sys.argv[1])
    server = Server(networks["judge"])
    print(json.dumps({router: rush(networks, server, router, ports) for router in routers}))


if __name__ == "__main__":
    main()
