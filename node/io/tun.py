"""The TUN device: IP packets to and from the kernel (Linux, Documentation/networking/tuntap).

One read gives one packet or, where the kernel can, a super-packet; before each then stands a virtio
header. The addresses of the node, its MTU and one route for each network of a peer are set by netlink.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections import Counter
from collections.abc import Iterable, Sequence

from node.core.checksum import Buffer
from node.core.superpacket import SuperPacket
from node.io.offload import Gather, SuperPacketReader, ask_tun, segments_for
from node.wire.virtio import PLAIN_BYTES

NAME_SIZE = 15
BATCHES = 8  # reads, before timers and the other descriptors get their turn
HEADERS = 52  # bytes of an inner TCP segment that are not payload, at least


class NoTun(Exception):
    """This machine cannot give us a TUN device. One line, with what would help."""


class Tun:
    def __init__(self, name: str) -> None:
        self.fd = _open(name)
        self.name = name
        try:
            self.features = ask_tun(self.fd, name)
        except OSError as error:
            os.close(self.fd)
            raise NoTun(f"interface {name}: {_why_not(error)}") from None
        self.index = socket.if_nametoindex(name)
        self._reader = SuperPacketReader(self.fd, self.features)
        self.counters: Counter[str] = self._reader.counters
        self._before = PLAIN_BYTES if self.features.virtio else b""
        self._routes: set[str] = set()
        self._addresses: set[str] = set()

    def configure(self, addresses: Iterable[str], networks: Iterable[str], mtu: int) -> None:
        """Up, with these addresses and a route to each network; those of an earlier call go.

        After an OSError another call with what was there before brings that back.
        """
        from node.io.rtnetlink import Netlink  # by now the relay has been dialled

        own, wanted = set(addresses), set(networks)
        with Netlink() as netlink:
            netlink.set_link(self.index, mtu)
            if self.features.tcp:
                segments = segments_for(mtu)  # as many as one send takes once they are sealed
                with contextlib.suppress(OSError):
                    size = segments * (mtu - HEADERS) + HEADERS
                    netlink.limit_super_packets(self.index, segments, size)
            for address in sorted(own):  # known ones too: somebody may have taken one away
                self._addresses.add(address)
                netlink.add_address(self.index, address)
            for address in sorted(self._addresses - own):
                netlink.delete_address(self.index, address)
                self._addresses.remove(address)
            for network in sorted(self._routes - wanted):
                netlink.delete_route(self.index, network)
                self._routes.remove(network)
            for network in sorted(wanted - self._routes):
                self._routes.add(network)
                netlink.add_route(self.index, network)

    def gather_with(self, gather: Gather) -> None:
        """From now on many packets come with one call."""
        self._reader.gather = gather

    def read(self) -> Iterable[Sequence[SuperPacket]]:
        """What is waiting, in order. A batch lies in a buffer until the next one is asked for. An empty
        tuple: nothing is left of what came, so perhaps it has taken a lane."""
        return self._reader.read(BATCHES)

    def write(self, packets: Sequence[bytes]) -> None:
        self.write_merged([self._before + packet for packet in packets])

    def write_merged(self, writes: Sequence[Buffer]) -> None:
        """The kernel takes a write or drops it (full queue, interface down): never a wait."""
        for write in writes:
            try:
                os.write(self.fd, write)
            except OSError as error:
                self.counters[f"write_{errno.errorcode.get(error.errno or 0, 'error')}"] += 1

    def close(self) -> None:
        os.close(self.fd)


def _open(name: str) -> int:
    if not 0 < len(name.encode()) <= NAME_SIZE or "/" in name:
        raise NoTun(f"{name!r} is no interface name: 1 to {NAME_SIZE} bytes, no slash")
    try:
        return os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        hint = "is the tun module there, and is this process allowed to open it?"
        raise NoTun(f"/dev/net/tun: {error.strerror}: {hint}") from None


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
