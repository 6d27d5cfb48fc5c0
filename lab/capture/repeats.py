"""WireGuard handshakes that no capture sees, repeated where the data that they open is first seen.

Wireshark opens a session only if the handshake is in the file, between the same addresses as the data. Ours
begins over the relay, inside TLS, and moves to UDP with the path; and behind NATs the same datagram has other
addresses on every link. So the first data for each (session, destination) is preceded by the session's two
handshake messages between the addresses seen there, on an interface of their own.

The messages are as the daemons logged them, but for one index: that of the side which does not receive here
is another one, for Wireshark follows roaming peers, and would move a session that both directions share
from one link's addresses to the next one's. An index is not part of what a handshake proves
(WireGuard §5.4.2: only the MACs cover it), and mac1 needs no secret; it is made anew.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2s
from typing import NamedTuple

from lab.capture.superpackets import checksum

COMMENT = (
    "Not a packet: the handshake of the session that follows, which was made before, or inside TLS; "
    "repeated so that Wireshark can open it between these addresses"
)
_SIZES = {1: 148, 2: 92}  # handshake initiation, handshake response
_DATA = b"\x04\0\0\0"
_UDP = 17


@dataclass(frozen=True, slots=True)
class Logged:
    """A handshake message, and whom it was for."""

    message: bytes
    to: bytes  # static public key

    @property
    def sender(self) -> int:
        return int.from_bytes(self.message[4:8], "little")

    @property
    def receiver(self) -> int:
        """Of a response."""
        return int.from_bytes(self.message[8:12], "little")

    def with_indices(self, sender: int, receiver: int | None = None) -> bytes:
        indices = struct.pack("<I", sender)
        indices += b"" if receiver is None else struct.pack("<I", receiver)
        body = self.message[:4] + indices + self.message[4 + len(indices) : -32]
        key = blake2s(b"mac1----" + self.to).digest()
        return body + blake2s(body, digest_size=16, key=key).digest() + bytes(16)


@dataclass(frozen=True, slots=True)
class Session:
    initiation: Logged
    response: Logged


class Datagram(NamedTuple):
    """What a data message was found in: addresses as they are in the packet."""

    source: bytes
    destination: bytes
    ports: tuple[int, int]
    receiver: int  # its index


class Repeats:
    def __init__(self) -> None:
        self._initiations: dict[int, Logged] = {}
        self._responses: dict[int, Logged] = {}  # by receiver
        self._sessions: dict[int, Session] = {}  # by either index
        self._seen: set[tuple[int, bytes, int]] = set()
        self._unused = 0

    def learn(self, lines: bytes) -> None:
        """Of a key log; the files of two daemons may come in either order."""
        for message in logged(lines):
            if message.message[0] == 1:
                self._initiations[message.sender] = message
                number = message.sender
            else:
                self._responses[message.receiver] = message
                number = message.receiver
            if number in self._initiations and number in self._responses:
                session = Session(self._initiations[number], self._responses[number])
                self._sessions[number] = self._sessions[session.response.sender] = session

    def before(self, ip: bytes) -> tuple[bytes, bytes] | None:
        """Two IP packets that have to come before this one."""
        if _DATA not in ip[28:60]:  # quickly: most packets are something else
            return None
        found = data_message(ip)
        if found is None or found.receiver not in self._sessions:
            return None
        key = (found.receiver, found.destination, found.ports[1])
        if key in self._seen:
            return None
        self._seen.add(key)
        return self._repeated(self._sessions[found.receiver], found)

    def _repeated(self, session: Session, seen: Datagram) -> tuple[bytes, bytes]:
        self._unused += 1
        there = (seen.source, seen.destination, seen.ports)
        back = (seen.destination, seen.source, seen.ports[::-1])
        if seen.receiver == session.initiation.sender:
            initiator, responder, there, back = seen.receiver, self._unused, back, there
        else:
            initiator, responder = self._unused, seen.receiver
        return (
            ip_packet(*there, session.initiation.with_indices(initiator)),
            ip_packet(*back, session.response.with_indices(responder, initiator)),
        )


def logged(lines: bytes) -> Iterator[Logged]:
    """The handshake messages of a key log; anything else is none."""
    to = b""
    for line in lines.splitlines():
        word, _, value = line.partition(b" = ")
        if word == b"REMOTE_STATIC_PUBLIC_KEY":
            to = _decoded(value)
        elif word == b"HANDSHAKE_MESSAGE":
            message = _decoded(value)
            if message and _SIZES.get(message[0]) == len(message) and len(to) == 32:
                yield Logged(message, to)


def _decoded(value: bytes) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        return b""


def data_message(ip: bytes) -> Datagram | None:
    """If this IP packet is UDP and carries a WireGuard data message."""
    version = ip[0] >> 4 if ip else 0
    if version == 4 and len(ip) > 9 and ip[9] == _UDP:
        start, addresses = (ip[0] & 15) * 4, (12, 16)
    elif version == 6 and len(ip) > 6 and ip[6] == _UDP:
        start, addresses = 40, (8, 24)
    else:
        return None
    if ip[start + 8 : start + 12] != _DATA or len(ip) < start + 16:
        return None
    first, second = addresses
    size = second - first
    source, destination, _, index = struct.unpack_from("!HHI4x4s", ip, start)
    return Datagram(
        ip[first:second],
        ip[second : second + size],
        (source, destination),
        int.from_bytes(index, "little"),
    )


def ip_packet(source: bytes, destination: bytes, ports: tuple[int, int], payload: bytes) -> bytes:
    udp = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    if len(source) == 16:
        return struct.pack("!IHBB", 6 << 28, len(udp), _UDP, 64) + source + destination + udp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, _UDP, 0)
    head += source + destination
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + udp
