"""nf_tables, spoken to directly: a whole table is replaced in one transaction, without a helper process.

A rule is a row of expressions. Each one loads a register, compares it, or acts; the first comparison that
fails ends the rule. What is made here is what `nft list ruleset` shows in a machine.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from lab.world.attributes import attribute, nested, number, text
from lab.world.netlink import NetlinkError, answers

INET, NETDEV = 1, 5
PREROUTING, POSTROUTING = 0, 4  # of INET
INGRESS, EGRESS = 0, 1  # of NETDEV
ERRORS = (3, 4, 11, 12)  # ICMP types, RFC 792; of ICMPv6 those below 128, RFC 4443 §2.1
IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"  # ether types

_NETFILTER = 12
_BATCH_BEGIN, _BATCH_END = 16, 17
_NF_TABLES = 10
_NEW_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE = (
    (_NF_TABLES << 8) | each for each in (0, 2, 3, 6)
)
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800
_HEADER = struct.Struct("=IHHII")
_ANSWER_WITHIN = 5.0  # seconds; the kernel answers before `send` returns
_SEND_BUFFER = 1 << 20

_META_PROTOCOL, _META_MARK, _META_FROM, _META_TO, _META_TRANSPORT = 1, 3, 6, 7, 16
_TCP, _TCP_RESET = b"\x06", 1
_ICMP, _ICMP6, _FIRST_INFORMATIONAL = b"\x01", b"\x3a", b"\x80"
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_TCP_FLAGS, _RST = 13, 0x04  # RFC 9293 §3.1
_ADDRESSES = {4: (12, 16), 6: (8, 24)}  # where source and destination are in the network header
_REGISTER, _VERDICT = 1, 0
_EQUAL, _LESS = 0, 2
_DROP, _ACCEPT = 0, 1
_RANDOM = 1
_TO_NETWORK_ORDER = 1
_MILLION = 1_000_000

Rule: TypeAlias = tuple[bytes, ...]
Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Chain:
    name: str
    hook: int
    priority: int
    rules: tuple[Rule, ...]
    device: str | None = None  # of NETDEV


@dataclass(frozen=True, slots=True)
class Table:
    family: int
    name: str
    chains: tuple[Chain, ...]


# --- expressions


def from_device(name: str) -> bytes:
    return _meta(_META_FROM) + _compare(name.encode().ljust(16, b"\0"))


def to_device(name: str) -> bytes:
    return _meta(_META_TO) + _compare(name.encode().ljust(16, b"\0"))


def protocol(ether_type: bytes) -> bytes:
    return _meta(_META_PROTOCOL) + _compare(ether_type)


def sent_by(mac: bytes) -> bytes:
    """The Ethernet source address, of which a bridge keeps the sender's."""
    load = _expression(
        "payload", number(1, _REGISTER), number(2, 0), number(3, 6), number(4, len(mac))
    )
    return load + _compare(mac)


def is_from(network: Network) -> bytes:
    return _address(network, _ADDRESSES[network.version][0])


def is_to(network: Network) -> bytes:
    return _address(network, _ADDRESSES[network.version][1])


def is_tcp() -> bytes:
    return _meta(_META_TRANSPORT) + _compare(_TCP)


def is_tcp_reset() -> bytes:
    flags = _expression(
        *("payload", number(1, _REGISTER), number(2, _TRANSPORT_HEADER)),
        *(number(3, _TCP_FLAGS), number(4, 1)),
    )
    only = nested(4, attribute(1, bytes([_RST]))), nested(5, attribute(1, b"\0"))
    mask = _expression("bitwise", number(1, _REGISTER), number(2, _REGISTER), number(3, 1), *only)
    return is_tcp() + flags + mask + _compare(bytes([_RST]))


def is_icmp_error(type_: int) -> bytes:
    return _meta(_META_TRANSPORT) + _compare(_ICMP) + _icmp_type() + _compare(bytes([type_]))


def is_icmp6_error() -> bytes:
    of_ipv6 = protocol(IPV6) + _meta(_META_TRANSPORT) + _compare(_ICMP6)
    return of_ipv6 + _icmp_type() + _compare(_FIRST_INFORMATIONAL, _LESS)


def marked(mark: int) -> bytes:
    return _meta(_META_MARK) + _compare(struct.pack("=I", mark))


def by_chance(chance: float) -> bytes:
    draw = _expression("numgen", number(1, _REGISTER), number(2, _MILLION), number(3, _RANDOM))
    swap = _expression(
        "byteorder",
        *(number(1, _REGISTER), number(2, _REGISTER), number(3, _TO_NETWORK_ORDER)),
        *(number(4, 4), number(5, 4)),
    )
    return draw + swap + _compare(struct.pack(">I", round(chance * _MILLION)), _LESS)


def drop() -> bytes:
    return _verdict(_DROP)


def accept() -> bytes:
    return _verdict(_ACCEPT)


def reset() -> bytes:
    """Drops, and tells the sender that its TCP connection is gone."""
    return _expression("reject", number(1, _TCP_RESET))


def count() -> bytes:
    return _expression("counter")


def mark(value: int) -> bytes:
    store = _expression("meta", number(2, _META_MARK), number(3, _REGISTER))
    return _load(struct.pack("=I", value)) + store


def copy_to(index: int) -> bytes:
    """A copy leaves by the interface with this index."""
    return _load(struct.pack("=I", index)) + _expression("dup", number(2, _REGISTER))


def queue(line: int) -> bytes:
    short = struct.Struct(">H").pack
    return _expression("queue", attribute(1, short(line)), attribute(2, short(1)))


def queue_by_xtables(line: int) -> bytes:
    """The same by the target of iptables, for kernels that have only that."""
    info = struct.pack("=H6x", line)
    return _expression("target", text(1, "NFQUEUE"), number(2, 0), attribute(3, info))


def _icmp_type() -> bytes:
    numbers = (number(1, _REGISTER), number(2, _TRANSPORT_HEADER), number(3, 0), number(4, 1))
    return _expression("payload", *numbers)


def _address(network: Network, offset: int) -> bytes:
    """Of a network the whole bytes of its prefix are compared."""
    kind = IPV4 if network.version == 4 else IPV6
    value = network.network_address.packed[: network.prefixlen // 8]
    base, where, size = _NETWORK_HEADER, offset, len(value)
    numbers = (number(1, _REGISTER), number(2, base), number(3, where), number(4, size))
    return protocol(kind) + _expression("payload", *numbers) + _compare(value)


def _meta(key: int) -> bytes:
    return _expression("meta", number(2, key), number(1, _REGISTER))


def _compare(value: bytes, how: int = _EQUAL) -> bytes:
    return _expression("cmp", number(1, _REGISTER), number(2, how), nested(3, attribute(1, value)))


def _load(value: bytes) -> bytes:
    return _expression("immediate", number(1, _REGISTER), nested(2, attribute(1, value)))


def _verdict(code: int) -> bytes:
    return _expression("immediate", number(1, _VERDICT), nested(2, nested(2, number(1, code))))


def _expression(name: str, *data: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *data))


# --- transactions


def replace(before: Sequence[Table], after: Sequence[Table], does: str) -> None:
    """In the calling thread's namespace: these tables go and those come; all of it or nothing.

    The two are told apart because the kernel takes ten times longer to end a table than to make one.
    Raises NetlinkError.
    """
    messages = [_end(table) for table in before]
    messages += [each for table in after for each in _make(table)]
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as connection:
        connection.settimeout(_ANSWER_WITHIN)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        connection.send(b"".join(_batch(messages)))
        waiting = len(messages)
        while waiting > 0:
            try:
                data = connection.recv(1 << 16)
            except TimeoutError:
                raise NetlinkError(does, 110, "nf_tables does not answer") from None
            for _, code, words in answers(data):
                if code:
                    raise NetlinkError(does, code, words)
                waiting -= 1


def _end(table: Table) -> tuple[int, int, int, bytes]:
    return _DELETE_TABLE, 0, table.family, text(1, table.name)


def _make(table: Table) -> Iterator[tuple[int, int, int, bytes]]:
    name = text(1, table.name)
    yield _NEW_TABLE, _CREATE, table.family, name
    for chain in table.chains:
        device = text(3, chain.device) if chain.device else b""
        hook = nested(4, number(1, chain.hook), number(2, chain.priority), device)
        body = name + text(3, chain.name) + hook + text(7, "filter")
        yield _NEW_CHAIN, _CREATE, table.family, body
        for rule in chain.rules:
            body = name + text(2, chain.name) + nested(4, *rule)
            yield _NEW_RULE, _CREATE | _APPEND, table.family, body


def _batch(messages: Sequence[tuple[int, int, int, bytes]]) -> Iterator[bytes]:
    yield _message(_BATCH_BEGIN, 0, 0, _NF_TABLES, b"")
    for kind, flags, family, body in messages:
        yield _message(kind, flags | _ACK, family, 0, body)
    yield _message(_BATCH_END, 0, 0, _NF_TABLES, b"")


def _message(kind: int, flags: int, family: int, resource: int, body: bytes) -> bytes:
    body = struct.pack(">BBH", family, 0, resource) + body
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0) + body
