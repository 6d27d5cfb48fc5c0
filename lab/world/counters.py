"""What the counters of a table of nf_tables say, asked of the kernel without a helper process."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from lab.world.attributes import attributes, text
from lab.world.netlink import NetlinkError, answers

_NETFILTER = 12
_GET_RULE = (10 << 8) | 7
_REQUEST, _DUMP = 0x1, 0x300
_DONE = 3  # NLMSG_DONE
_HEADER = struct.Struct("=IHHII")
_GENERIC = 4  # bytes of nfgenmsg
_EXPRESSIONS, _NAME, _DATA, _PACKETS = 4, 1, 2, 2
_ANSWER_WITHIN = 5.0  # seconds


def packets(family: int, table: str) -> int:
    """In the calling thread's namespace: how many all counters of the table have seen together."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as connection:
        connection.settimeout(_ANSWER_WITHIN)
        body = struct.pack(">BBH", family, 0, 0) + text(1, table)
        size = _HEADER.size + len(body)
        connection.send(_HEADER.pack(size, _GET_RULE, _REQUEST | _DUMP, 1, 0) + body)
        return sum(_counted(rule) for rule in _rules(connection, table))


def _rules(connection: socket.socket, table: str) -> Iterator[bytes]:
    while True:
        data = connection.recv(1 << 16)
        for _, code, words in answers(data):
            raise NetlinkError(f"the counters of {table}", code, words)
        while len(data) >= _HEADER.size:
            length, kind, *_ = _HEADER.unpack_from(data)
            if kind == _DONE:
                return
            yield data[_HEADER.size + _GENERIC : length]
            data = data[(length + 3) & ~3 :]


def _counted(rule: bytes) -> int:
    return sum(
        int.from_bytes(dict(attributes(parts[_DATA]))[_PACKETS])
        for kind, expressions in attributes(rule)
        if kind == _EXPRESSIONS
        for _, expression in attributes(expressions)
        if (parts := dict(attributes(expression)))[_NAME] == b"counter\0"
    )
