"""pcapng, as far as we write it: one function a block, bytes out (draft-ietf-opsawg-pcapng).

Every block is `type, length, body, length` in our byte order, padded to four bytes; options are
`code, length, value`, padded too. Times are nanoseconds of CLOCK_MONOTONIC, as the event log has them (`at`);
if_tsoffset says how many seconds later the wall clock is, rounded, for the format has no fractions there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

SECTION, INTERFACE, STATISTICS, PACKET, SECRETS = 0x0A0D0D0A, 1, 5, 6, 0xA
MAGIC = 0x1A2B3C4D
TLS_KEYS, WIREGUARD_KEYS = 0x544C534B, 0x57474B4C  # §4.7: "TLSK" and "WGKL"

ETHERNET, RAW_IP, UPPER_PDU = 1, 101, 252  # LINKTYPE_*
INBOUND, OUTBOUND = 1, 2  # epb_flags, bits 0 and 1
NANOSECONDS = 9  # if_tsresol: ten to the minus

COMMENT = 1
SHB_APPLICATION = 4
IF_NAME, IF_DESCRIPTION, IF_TSRESOL, IF_TSOFFSET = 2, 3, 9, 14
EPB_FLAGS = 2
ISB_RECEIVED, ISB_DROPPED = 4, 5

Option = tuple[int, bytes]

_PACKET = struct.Struct(
    "=IIIIIII"
)  # a packet's block up to its data: all of it in one step, they are many
_LENGTH = struct.Struct("=I")
_PADDING = (b"", bytes(3), bytes(2), bytes(1))  # by the length modulo four
_DIRECTIONS = (  # epb_flags alone, and the end of options
    b"",
    *(struct.pack("=HHII", EPB_FLAGS, 4, direction, 0) for direction in (INBOUND, OUTBOUND)),
)


def section(comment: str, application: str = "punchlab") -> bytes:
    fixed = struct.pack("=IHHq", MAGIC, 1, 0, -1)
    return _block(SECTION, fixed, [_text(COMMENT, comment), _text(SHB_APPLICATION, application)])


def interface(name: str, description: str, link_type: int, wall_clock: int) -> bytes:
    """`wall_clock`: seconds from this file's times to the wall clock's."""
    options = [
        _text(IF_NAME, name),
        _text(IF_DESCRIPTION, description),
        (IF_TSRESOL, bytes([NANOSECONDS])),
        (IF_TSOFFSET, struct.pack("=q", wall_clock)),
    ]
    return _block(INTERFACE, struct.pack("=HHI", link_type, 0, 0), options)


def packet(
    interface: int, at: int, data: bytes, length: int, direction: int = 0, comment: str = ""
) -> bytes:
    """`at`: nanoseconds; `length`: bytes that it had before it was cut to `data`."""
    kept = len(data)
    options = b"" if comment else _DIRECTIONS[direction]
    if comment:
        flags = [(EPB_FLAGS, struct.pack("=I", direction))] if direction else []
        options = b"".join(_encoded([*flags, _text(COMMENT, comment)]))
    size = _PACKET.size + kept + -kept % 4 + len(options) + 4
    head = _PACKET.pack(PACKET, size, interface, at >> 32, at & 0xFFFF_FFFF, kept, length)
    return b"".join((head, data, _PADDING[kept % 4], options, _LENGTH.pack(size)))


def secrets(kind: int, text: bytes) -> bytes:
    return _block(SECRETS, struct.pack("=II", kind, len(text)) + _padded(text))


def statistics(interface: int, at: int, received: int, dropped: int, comment: str = "") -> bytes:
    options = [
        (ISB_RECEIVED, struct.pack("=Q", received)),
        (ISB_DROPPED, struct.pack("=Q", dropped)),
    ]
    if comment:
        options.append(_text(COMMENT, comment))
    return _block(STATISTICS, struct.pack("=III", interface, at >> 32, at & 0xFFFF_FFFF), options)


def upper_pdu(dissector: str, payload: bytes) -> bytes:
    """A packet of LINKTYPE_WIRESHARK_UPPER_PDU: the name of what reads it (tag 12), end of tags, payload."""
    name = dissector.encode()
    name += bytes(-len(name) % 4)
    return struct.pack("!HH", 12, len(name)) + name + bytes(4) + payload


def _text(code: int, text: str) -> Option:
    return code, text.encode()[:0xFFFF]


def _block(kind: int, fixed: bytes, options: Sequence[Option] = ()) -> bytes:
    body = fixed + b"".join(_encoded(options))
    length = struct.pack("=I", len(body) + 12)
    return struct.pack("=I", kind) + length + body + length


def _encoded(options: Sequence[Option]) -> Iterable[bytes]:
    for code, value in options:
        yield struct.pack("=HH", code, len(value)) + _padded(value)
    if options:
        yield bytes(4)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
