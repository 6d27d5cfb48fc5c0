"""The frame of DERP: `type 1 | length 4, big endian | payload`, the types, and the sizes that bound them.

Apart from `derp`, which says what the payloads hold, because a login and a stream of packets need no more.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from node.keys import KEY_SIZE

MAGIC = b"DERP\xf0\x9f\x94\x91"
HEADER = struct.Struct(">BI")
HEADER_SIZE = HEADER.size
PACKET_HEADER_SIZE = HEADER_SIZE + KEY_SIZE  # of SendPacket and RecvPacket
FORWARD_HEADER_SIZE = HEADER_SIZE + 2 * KEY_SIZE
MAX_PACKET = 65_536  # bytes relayed after the keys
MAX_CLIENT_INFO = 262_144
MAX_FRAME = 1 << 20  # a client hangs up on anything longer
NONCE_SIZE = 24
PING_SIZE = 8
MAX_PING = 1000

SERVER_KEY, CLIENT_INFO, SERVER_INFO = 0x01, 0x02, 0x03
SEND_PACKET, RECV_PACKET, FORWARD_PACKET = 0x04, 0x05, 0x0A
KEEP_ALIVE, NOTE_PREFERRED, PEER_GONE, PEER_PRESENT = 0x06, 0x07, 0x08, 0x09
WATCH_CONNS, CLOSE_PEER, PING, PONG, HEALTH, RESTARTING = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15


def pack_frame(kind: int, payload: bytes = b"") -> bytes:
    return HEADER.pack(kind, len(payload)) + payload


def packet_header(kind: int, key: bytes, packet_size: int) -> bytes:
    """The 37 bytes before a packet: of SendPacket to `key`, or of RecvPacket from it."""
    return HEADER.pack(kind, KEY_SIZE + packet_size) + key


def split_frames(stream: bytes | bytearray | memoryview) -> Iterator[memoryview]:
    """The whole frames, header and all, of a stream that begins and ends with one."""
    view = memoryview(stream)
    at = 0
    while at < len(view):
        size = HEADER_SIZE + HEADER.unpack_from(view, at)[1]
        yield view[at : at + size]
        at += size
