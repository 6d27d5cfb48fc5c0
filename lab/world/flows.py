"""The flows that a router remembers (conntrack), each with its packets either way.

Asked of the kernel over netlink (NFNL_SUBSYS_CTNETLINK); /proc/net/nf_conntrack is not on every kernel.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from lab.world.attributes import attributes
from lab.world.netlink import NetlinkError, answers

_NETFILTER = 12
_GET = (1 << 8) | 1  # IPCTNL_MSG_CT_GET
_REQUEST, _DUMP = 0x1, 0x300
_DONE = 3  # NLMSG_DONE
_HEADER = struct.Struct("=IHHII")
_GENERIC = 4  # bytes of nfgenmsg
_ANSWER_WITHIN = 5.0  # seconds
_BUFFER = 1 << 18

_ORIGINAL, _REPLY, _STATUS, _TIMEOUT, _SENT, _ANSWERED = 1, 2, 3, 7, 9, 10  # CTA_...
_IP, _PROTOCOL = 1, 2  # CTA_TUPLE_...
_NUMBER, _SOURCE_PORT, _PORT = 1, 2, 3  # CTA_PROTO_...
_PACKETS = 1  # CTA_COUNTERS_...
_SEEN_REPLY = 2  # IPS_SEEN_REPLY
_PROTOCOLS = {6: "tcp", 17: "udp"}

Flow = dict[str, Any]
Parts = Mapping[int, bytes]


def flows() -> list[Flow]:
    """In the calling thread's namespace: its UDP and TCP flows. Raises NetlinkError.

    {"protocol", "source", "to": as the inside has it, "outside": what the source is seen as,
    "from": who answers, "sent", "answered": packets, "is_answered", "ends_in": seconds}
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as connection:
        connection.settimeout(_ANSWER_WITHIN)
        body = struct.pack(">BBH", socket.AF_UNSPEC, 0, 0)
        size = _HEADER.size + len(body)
        connection.send(_HEADER.pack(size, _GET, _REQUEST | _DUMP, 1, 0) + body)
        return [flow for parts in _entries(connection) if (flow := _flow(parts)) is not None]


def _entries(connection: socket.socket) -> Iterator[Parts]:
    while True:
        data = connection.recv(_BUFFER)
        for _, code, words in answers(data):
            raise NetlinkError("the flows", code, words)
        while len(data) >= _HEADER.size:
            length, kind, *_ = _HEADER.unpack_from(data)
            if kind == _DONE:
                return
            yield dict(attributes(data[_HEADER.size + _GENERIC : length]))
            data = data[(length + 3) & ~3 :]


def _flow(parts: Parts) -> Flow | None:
    original, reply = (_tuple(parts[each]) for each in (_ORIGINAL, _REPLY))
    if original is None or reply is None:
        return None
    protocol, source, to = original
    _, answerer, outside = reply
    return {
        "protocol": protocol,
        "source": source,
        "to": to,
        "outside": outside,
        "from": answerer,
        "sent": _packets(parts.get(_SENT, b"")),
        "answered": _packets(parts.get(_ANSWERED, b"")),
        "is_answered": bool(int.from_bytes(parts.get(_STATUS, b"")) & _SEEN_REPLY),
        "ends_in": int.from_bytes(parts.get(_TIMEOUT, b"")),
    }


def _tuple(data: bytes) -> tuple[str, str, str] | None:
    """Protocol, source and destination; None for one without ports."""
    parts = dict(attributes(data))
    protocol = dict(attributes(parts[_PROTOCOL]))
    name = _PROTOCOLS.get(protocol[_NUMBER][0])
    if name is None:
        return None
    addresses = [ip_address(each) for _, each in attributes(parts[_IP])]  # source, destination
    ports = (int.from_bytes(protocol[each]) for each in (_SOURCE_PORT, _PORT))
    source, to = (_endpoint(str(a), port) for a, port in zip(addresses, ports, strict=True))
    return name, source, to


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _packets(data: bytes) -> int:
    return int.from_bytes(dict(attributes(data)).get(_PACKETS, b""))
