"""The few rtnetlink requests a node needs, packed by hand: no external program, and no library to
import at start (pyroute2 alone would take longer than the first packet).

A message is a header (length, type, flags, sequence, port), a fixed part by type, then attributes:
length, type, value, padded to 4 bytes. See rtnetlink(7) and netlink(7).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Self

from msgspec import Struct

NLM_REQUEST, NLM_ACK, NLM_DUMP = 0x1, 0x4, 0x300
NLM_REPLACE_OR_CREATE = 0x100 | 0x400
NLMSG_ERROR, NLMSG_DONE = 2, 3
RTM_NEWLINK, RTM_GETLINK = 16, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26

IFF_UP, IFF_LOOPBACK, IFF_RUNNING = 0x1, 0x8, 0x40
IFLA_IFNAME, IFLA_MTU, IFLA_GSO_MAX_SEGS, IFLA_GSO_MAX_SIZE = 3, 4, 40, 41
IFA_ADDRESS, IFA_LOCAL = 1, 2
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5
RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_LINK, RTN_UNICAST = 254, 4, 253, 1
CHANGES = (
    0x1 | 0x10 | 0x40 | 0x100 | 0x400
)  # groups: link, IPv4 address, route, IPv6 address, route

HEADER = struct.Struct("=IHHII")
LINK = struct.Struct("=BxHiII")  # family, type, index, flags, change mask
ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
ROUTE = struct.Struct(
    "=BBBBBBBBI"
)  # family, dst len, src len, tos, table, protocol, scope, type, flags
ATTRIBUTE = struct.Struct("=HH")


class Link(Struct, frozen=True):
    """A network interface, with its IFF_ flags."""

    index: int
    name: str
    flags: int

    @property
    def carries(self) -> bool:
        """Up, with a carrier, and not the loopback."""
        return self.flags & (IFF_UP | IFF_RUNNING | IFF_LOOPBACK) == IFF_UP | IFF_RUNNING


class InterfaceAddress(Struct, frozen=True):
    """An address of an interface, and how many bits of it are the network."""

    index: int
    address: str
    prefix: int


class DefaultRoute(Struct, frozen=True):
    """The way out, by an interface; without a gateway it is a point-to-point link."""

    index: int
    gateway: str | None


class Netlink:
    """One socket to ask the kernel and wait for its answer, which comes at once."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def set_link(self, index: int, mtu: int) -> None:
        """Up, with this MTU."""
        body = LINK.pack(0, 0, index, IFF_UP, IFF_UP)
        self._ask(RTM_NEWLINK, NLM_ACK, body + _attribute(IFLA_MTU, struct.pack("=I", mtu)))

    def limit_super_packets(self, index: int, segments: int, size: int) -> None:
        """The kernel cuts up what is larger, before the interface sees it (Linux 4.16)."""
        limits = ((IFLA_GSO_MAX_SEGS, segments), (IFLA_GSO_MAX_SIZE, size))
        body = LINK.pack(0, 0, index, 0, 0)
        body += b"".join(_attribute(kind, struct.pack("=I", value)) for kind, value in limits)
        self._ask(RTM_NEWLINK, NLM_ACK, body)

    def add_address(self, index: int, address: str) -> None:
        """As a single address, /32 or /128: what lies behind it is the routes' matter."""
        self._ask(RTM_NEWADDR, NLM_ACK | NLM_REPLACE_OR_CREATE, _address(index, address))

    def delete_address(self, index: int, address: str) -> None:
        self._take_away(RTM_DELADDR, _address(index, address))

    def add_route(self, index: int, network: str) -> None:
        self._ask(RTM_NEWROUTE, NLM_ACK | NLM_REPLACE_OR_CREATE, _route(index, network))

    def delete_route(self, index: int, network: str) -> None:
        self._take_away(RTM_DELROUTE, _route(index, network))

    def links(self) -> list[Link]:
        found = []
        for body in self._ask(RTM_GETLINK, NLM_DUMP, LINK.pack(0, 0, 0, 0, 0)):
            _, _, index, flags, _ = LINK.unpack_from(body)
            name = _attributes(body, LINK.size).get(IFLA_IFNAME, b"")
            found.append(Link(index, name.rstrip(b"\0").decode(), flags))
        return found

    def addresses(self) -> list[InterfaceAddress]:
        found = []
        for body in self._ask(RTM_GETADDR, NLM_DUMP, ADDRESS.pack(0, 0, 0, 0, 0)):
            _, prefix, _, _, index = ADDRESS.unpack_from(body)
            attributes = _attributes(body, ADDRESS.size)
            raw = attributes.get(IFA_LOCAL) or attributes.get(IFA_ADDRESS)
            if raw:
                found.append(InterfaceAddress(index, str(ip_address(raw)), prefix))
        return found

    def default_routes(self) -> list[DefaultRoute]:
        found = []
        for body in self._ask(RTM_GETROUTE, NLM_DUMP, ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0)):
            _, destination, _, _, table, _, _, kind, _ = ROUTE.unpack_from(body)
            attributes = _attributes(body, ROUTE.size)
            if (destination, table, kind) == (0, RT_TABLE_MAIN, RTN_UNICAST):
                (index,) = struct.unpack("=I", attributes.get(RTA_OIF, bytes(4)))
                gateway = attributes.get(RTA_GATEWAY)
                found.append(DefaultRoute(index, str(ip_address(gateway)) if gateway else None))
        return found

    def _take_away(self, kind: int, body: bytes) -> None:
        try:
            self._ask(kind, NLM_ACK, body)
        except OSError as error:
            if error.errno not in (errno.ESRCH, errno.EADDRNOTAVAIL):  # gone already is all right
                raise

    def _ask(self, kind: int, flags: int, body: bytes) -> list[bytes]:
        self._sequence += 1
        size = HEADER.size + len(body)
        self._socket.send(HEADER.pack(size, kind, NLM_REQUEST | flags, self._sequence, 0) + body)
        answers: list[bytes] = []
        while True:
            for answer, sequence, payload in _messages(self._socket.recv(1 << 17)):
                if sequence != self._sequence:
                    continue
                if answer == NLMSG_DONE:
                    return answers
                if answer == NLMSG_ERROR:
                    _raise_if_refused(payload)
                    return answers
                answers.append(payload)


def changes_socket() -> socket.socket:
    """Readable when a link, an address or a route of this namespace has changed."""
    watcher = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    watcher.setblocking(False)
    watcher.bind((0, CHANGES))
    return watcher


def _raise_if_refused(payload: bytes) -> None:
    (code,) = struct.unpack_from("=i", payload)
    if code:
        raise OSError(-code, os.strerror(-code))


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + HEADER.size <= len(data):
        size, kind, _, sequence, _ = HEADER.unpack_from(data, at)
        if size < HEADER.size:
            return
        yield kind, sequence, data[at + HEADER.size : at + size]
        at += size + 3 & ~3


def _attribute(kind: int, value: bytes) -> bytes:
    size = ATTRIBUTE.size + len(value)
    return ATTRIBUTE.pack(size, kind) + value + bytes(-size % 4)


def _attributes(body: bytes, at: int) -> dict[int, bytes]:
    found = {}
    while at + ATTRIBUTE.size <= len(body):
        size, kind = ATTRIBUTE.unpack_from(body, at)
        if size < ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = body[at + ATTRIBUTE.size : at + size]
        at += size + 3 & ~3
    return found


def _family(raw: bytes) -> int:
    return socket.AF_INET if len(raw) == 4 else socket.AF_INET6


def _address(index: int, address: str) -> bytes:
    raw = ip_address(address).packed
    body = ADDRESS.pack(_family(raw), len(raw) * 8, 0, 0, index)
    return body + _attribute(IFA_LOCAL, raw) + _attribute(IFA_ADDRESS, raw)


def _route(index: int, network: str) -> bytes:
    to = ip_network(network)
    raw = to.network_address.packed
    scope = RT_SCOPE_LINK if to.version == 4 else 0
    body = ROUTE.pack(
        _family(raw), to.prefixlen, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, scope, RTN_UNICAST, 0
    )
    return body + _attribute(RTA_DST, raw) + _attribute(RTA_OIF, struct.pack("=I", index))
