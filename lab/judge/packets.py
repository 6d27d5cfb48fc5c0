"""What kind of packet is this? By its first bytes, and for what is sealed by its size.

    DERP        TCP port 443 with a payload: TLS, so no more than that can be told
    STUN        its cookie at bytes 4..7 (RFC 8489 §5)
    disco       54 53 f0 9f 92 ac, then sealed; a pong is 110 bytes, and only a ping may be 124 or more
    WireGuard   type 1..4 and three zeros (§5.4); transport data of 32 bytes is a keepalive
    peer relay  Geneve (RFC 8926) with protocol 7a11 (disco) or 7a12 (WireGuard) around either of these

Nothing is raised for what is short, broken or no IP at all: it is `other`, or None.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from lab.model.sighting import Kind

HEAD = 128  # bytes of a packet that suffice: IPv6, UDP, Geneve and disco's magic, or TCP's header

_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58
_ICMP_ERRORS = frozenset((3, 4, 5, 11, 12))  # RFC 792
_ICMPV6_ECHO = 128  # RFC 4443 §2.1: the types below are errors
_HTTPS = 443
_IPV4_SIZE, _IPV6_SIZE, _UDP_SIZE, _TCP_SIZE, _GENEVE_SIZE = 20, 40, 8, 20, 8
_PORTMAP_PORTS = frozenset((5350, 5351, 1900))  # RFC 6886, RFC 6887, SSDP
_STUN_COOKIE = bytes.fromhex("2112a442")
_DISCO_MAGIC = bytes.fromhex("5453f09f92ac")
_PONG_SIZE, _PING_SIZE = 110, 124  # a ping may be padded, to try the path's MTU
_WIREGUARD: dict[bytes, Kind] = {
    b"\1\0\0\0": "handshake",
    b"\2\0\0\0": "handshake",
    b"\3\0\0\0": "handshake",
    b"\4\0\0\0": "data",
}
_KEEPALIVE_SIZE = 32
_GENEVE_PROTOCOLS = (b"\x7a\x11", b"\x7a\x12")
_CONTROL = 0x80  # Geneve's: it binds a node to a peer relay, and is no ping


class Packet(NamedTuple):
    kind: Kind
    source: str
    target: str
    by_peer_relay: bool = False


def classify(head: bytes, size: int) -> Packet | None:
    """An IP packet by its first bytes (`HEAD` of them or more); `size` is the whole one's. None: no IP."""
    version = head[0] >> 4 if head else 0
    if version == 4 and len(head) >= _IPV4_SIZE:
        source, target = str(IPv4Address(head[12:16])), str(IPv4Address(head[16:20]))
        start = (head[0] & 15) * 4
        is_first = not int.from_bytes(head[6:8]) & 0x1FFF  # a later fragment has no ports
        return _transport(head[9] if is_first else 0, head[start:], size - start, source, target)
    if version == 6 and len(head) >= _IPV6_SIZE:
        source, target = (f"[{IPv6Address(head[at : at + 16])}]" for at in (8, 24))
        return _transport(head[6], head[_IPV6_SIZE:], size - _IPV6_SIZE, source, target)
    return None


def _transport(protocol: int, data: bytes, size: int, source: str, target: str) -> Packet:
    if protocol not in (_TCP, _UDP) or len(data) < _UDP_SIZE:
        return Packet("refusal" if _is_error(protocol, data) else "other", source, target)
    here, there = struct.unpack_from("!HH", data)
    ends = (f"{source}:{here}", f"{target}:{there}")
    if protocol == _TCP:
        return Packet(_tcp(data, size, _HTTPS in (here, there)), *ends)
    if not _PORTMAP_PORTS.isdisjoint((here, there)):
        return Packet("portmap", *ends)
    return _datagram(data[_UDP_SIZE:], size - _UDP_SIZE, ends)


def _is_error(protocol: int, data: bytes) -> bool:
    if protocol == _ICMPV6:
        return data[:1] != b"" and data[0] < _ICMPV6_ECHO
    return protocol == _ICMP and data[:1] != b"" and data[0] in _ICMP_ERRORS


def _tcp(data: bytes, size: int, is_https: bool) -> Kind:
    header = (data[12] >> 4) * 4 if len(data) >= _TCP_SIZE else size
    return "derp" if is_https and size > header else "tcp"


def _datagram(payload: bytes, size: int, ends: tuple[str, str]) -> Packet:
    if payload[2:4] in _GENEVE_PROTOCOLS and not payload[0] & 0xC0:
        kind = _plain(payload[_GENEVE_SIZE:], size - _GENEVE_SIZE)
        if kind != "udp":
            return Packet("disco" if payload[1] & _CONTROL else kind, *ends, by_peer_relay=True)
    return Packet(_plain(payload, size), *ends)


def _plain(payload: bytes, size: int) -> Kind:
    if kind := _WIREGUARD.get(payload[:4]):
        return "keepalive" if kind == "data" and size == _KEEPALIVE_SIZE else kind
    if payload.startswith(_DISCO_MAGIC):
        return _disco(size)
    return "stun" if payload[4:8] == _STUN_COOKIE else "udp"


def _disco(size: int) -> Kind:
    if size == _PONG_SIZE:
        return "disco-pong"
    return "disco-ping" if size >= _PING_SIZE else "disco"
