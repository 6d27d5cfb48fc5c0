"""The node's UDP port: one IPv4 and one IPv6 socket with the same number.

WireGuard, disco and STUN share them, because the NAT's mapping that STUN learns must be the one
that the tunnel uses. Where the kernel can, one call receives or sends a batch of datagrams.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from node.core.rows import LONGEST, Rows, in_rows
from node.io.offload import RECEIVE, BatchSocket, Receive, Received
from node.wire.endpoint import Endpoint

BATCHES = 8  # receives, before timers and the other descriptors get their turn
FEW = 4  # datagrams, from which on laying them out for one send pays
BUFFER = 7 << 20  # bytes each way, best effort: a burst of one TCP window at a few Gb/s
UNREACHABLE = {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


class PortTaken(Exception):
    """One line: which port, and why not."""


class UdpPort:
    def __init__(self, port: int) -> None:
        self._ipv4 = _bind(socket.AF_INET, port)
        self.port: int = self._ipv4.getsockname()[1]
        self._ipv6: socket.socket | None = None
        with contextlib.suppress(OSError):  # a machine without IPv6
            self._ipv6 = _bind(socket.AF_INET6, self.port)
        self.counters: Counter[str] = Counter()
        self._most = 1
        self._by_fd = {each.fileno(): each for each in (self._ipv4, self._ipv6) if each}
        buffer = bytearray(RECEIVE)
        self._batches = {fd: BatchSocket(each, buffer) for fd, each in self._by_fd.items()}

    @property
    def fds(self) -> list[int]:
        return list(self._by_fd)

    @property
    def has_ipv6(self) -> bool:
        return self._ipv6 is not None

    def read(self, fd: int) -> Iterable[tuple[Rows, Endpoint]]:
        """What is waiting, in order. A batch lies in a buffer until the next one is asked for. An empty
        tuple: nothing is left of what came, so perhaps it has taken a lane."""
        batches = self._batches[fd]
        try:
            first = batches.receive(self._most)
        except OSError as error:  # an ICMP error about something we sent
            self._count("read", error)
            return ()
        return () if first is None else self._all(batches, first)

    def _all(self, batches: BatchSocket, first: Received) -> Iterator[tuple[Rows, Endpoint]]:
        left, received = BATCHES, first
        while True:
            rows, source = received
            left -= 1 + (rows.stop - rows.start) // LONGEST
            yield rows, Endpoint(*source)
            if left <= 0 and not batches.is_ahead:
                return
            try:
                following = batches.receive(self._most if left > 0 else 1)
            except OSError as error:
                self._count("read", error)
                return
            if following is None:
                return
            received = following

    @property
    def by_family(self) -> dict[socket.AddressFamily, BatchSocket]:
        return {
            socket.AddressFamily(each.family): self._batches[fd] for fd, each in self._by_fd.items()
        }

    def receive_with(self, receive: Receive, most: int) -> None:
        """From now on; and so many at a time, where they go on in the same way."""
        self._most = most
        for batches in self._batches.values():
            batches.receive_one = receive

    def send(self, datagrams: Sequence[bytes], to: Endpoint) -> bool:
        """False when there is no way to that address; a full buffer just loses the rest."""
        if len(datagrams) >= FEW:
            return self.send_rows(in_rows(datagrams), to)
        sender = self._ipv6 if to.is_ipv6 else self._ipv4
        if sender is None:
            return False
        try:
            for datagram in datagrams:
                sender.sendto(datagram, to)
        except OSError as error:
            return self._failed(error)
        return True

    def send_rows(self, batch: Sequence[Rows], to: Endpoint) -> bool:
        """The same for sealed batches."""
        sender = self._ipv6 if to.is_ipv6 else self._ipv4
        if sender is None:
            return False
        send = self._batches[sender.fileno()].send
        try:
            for rows in batch:
                send(rows, to)
        except OSError as error:
            return self._failed(error)
        return True

    def _failed(self, error: OSError) -> bool:
        self._count("send", error)
        return error.errno not in UNREACHABLE

    def close(self) -> None:
        for each in self._by_fd.values():
            each.close()

    def _count(self, what: str, error: OSError) -> None:
        self.counters[f"{what}_{errno.errorcode.get(error.errno or 0, 'error')}"] += 1


def _bind(family: int, port: int) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    try:
        bound.setblocking(False)
        for force, plain in (
            (SO_RCVBUFFORCE, socket.SO_RCVBUF),
            (SO_SNDBUFFORCE, socket.SO_SNDBUF),
        ):
            _set_buffer(bound, force, plain)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
    except OSError as error:
        bound.close()
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise PortTaken(f"UDP port {port}: {error.strerror}") from None
        raise
    return bound


SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33


def _set_buffer(bound: socket.socket, force: int, plain: int) -> None:
    for option in (force, plain):  # forcing it past the machine's limit needs CAP_NET_ADMIN
        with contextlib.suppress(OSError):
            bound.setsockopt(socket.SOL_SOCKET, option, BUFFER)
            return
