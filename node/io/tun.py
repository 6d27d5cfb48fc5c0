"""The TUN device: plain IP packets to and from the kernel (Linux, Documentation/networking/tuntap).

One read gives one packet, and a whole batch is read before anyone looks at it; the addresses of the
node, its MTU and one route for each network of a peer are set by netlink.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from collections import Counter
from collections.abc import Iterable, Sequence

from node.io.rtnetlink import Netlink

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x1, 0x1000
NAME_SIZE = 15

BATCH = 64  # packets a read: what one super-packet of the kernel makes at most
PACKET = 65536


class NoTun(Exception):
    """This machine cannot give us a TUN device. One line, with what would help."""


class Tun:
    def __init__(self, name: str) -> None:
        self.fd = _open(name)
        self.name = name
        self.index = socket.if_nametoindex(name)
        self.counters: Counter[str] = Counter()
        self._routes: set[str] = set()
        self._addresses: set[str] = set()

    def configure(self, addresses: Iterable[str], networks: Iterable[str], mtu: int) -> None:
        """Up, with these addresses and a route to each network; routes of an earlier call go."""
        wanted = set(networks)
        with Netlink() as netlink:
            netlink.set_link(self.index, mtu)
            for address in addresses:
                netlink.add_address(self.index, address)
            for network in sorted(self._routes - wanted):
                netlink.delete_route(self.index, network)
            for network in sorted(wanted - self._routes):
                netlink.add_route(self.index, network)
        self._routes = wanted

    def read(self) -> list[bytes]:
        """What is waiting, at most a batch; empty when nothing is."""
        packets: list[bytes] = []
        while len(packets) < BATCH:
            try:
                packets.append(os.read(self.fd, PACKET))
            except BlockingIOError:
                break
            except OSError as error:  # EIO: the interface is down
                self.counters[f"read_{errno.errorcode.get(error.errno or 0, 'error')}"] += 1
                break
        return packets

    def write(self, packets: Sequence[bytes]) -> None:
        """The kernel takes a packet or drops it (full queue, interface down): never a wait."""
        for packet in packets:
            try:
                os.write(self.fd, packet)
            except OSError as error:
                self.counters[f"write_{errno.errorcode.get(error.errno or 0, 'error')}"] += 1

    def close(self) -> None:
        os.close(self.fd)


def _open(name: str) -> int:
    if not 0 < len(name.encode()) <= NAME_SIZE or "/" in name:
        raise NoTun(f"{name!r} is no interface name: 1 to {NAME_SIZE} bytes, no slash")
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        hint = "is the tun module there, and is this process allowed to open it?"
        raise NoTun(f"/dev/net/tun: {error.strerror}: {hint}") from None
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    except OSError as error:
        os.close(fd)
        raise NoTun(f"interface {name}: {_why_not(error)}") from None
    return fd


def _why_not(error: OSError) -> str:
    match error.errno:
        case errno.EPERM:
            return "not allowed to make it (CAP_NET_ADMIN is needed in this network namespace)"
        case errno.EBUSY:
            return "another process has it"
        case errno.EINVAL:
            return "the name is in use by another kind of interface"
        case _:
            return error.strerror or str(error)
