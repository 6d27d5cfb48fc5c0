"""Reading a pcapng back: its interfaces, packets and comments, as frozen values.

For files of our own making and of others' (dumpcap, editcap) on the same clock; blocks that are not
understood are skipped. A file that was cut off in the middle of a block is read up to there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.capture import pcapng
from lab.errors import BadRequest

_ORDERS = {pcapng.MAGIC.to_bytes(4, "little"): "<", pcapng.MAGIC.to_bytes(4, "big"): ">"}
MICROSECONDS = 6  # if_tsresol where none is given


@dataclass(frozen=True, slots=True)
class Interface:
    name: str
    link_type: int
    per_second: int = 10**MICROSECONDS

    @property
    def machine(self) -> str:
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Packet:
    interface: Interface
    at: float  # seconds, as `at` in the event log
    data: bytes
    length: int
    direction: int  # INBOUND, OUTBOUND, or 0: not known
    comment: str = ""

    @property
    def ip(self) -> bytes:
        """Without its link's header; empty if it is not IP."""
        if self.interface.link_type == pcapng.RAW_IP:
            return self.data
        if self.interface.link_type != pcapng.ETHERNET:
            return b""
        return self.data[14:] if self.data[12:14] in (b"\x08\x00", b"\x86\xdd") else b""


@dataclass(frozen=True, slots=True)
class Secrets:
    kind: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Counted:
    """What a capture says of an interface when it ends."""

    interface: Interface
    at: float
    dropped: int


Item = Interface | Packet | Secrets | Counted


class BadCapture(BadRequest):
    """Not a pcapng, or a broken one."""


def read(path: Path) -> Iterator[Item]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadCapture(f"cannot read {path}: {error.strerror}") from None
    if data[:4] != pcapng.SECTION.to_bytes(4, "little"):  # the same in either byte order
        raise BadCapture(f"{path} is not a pcapng", "lab.capture makes one")
    try:
        yield from parse(data)
    except (struct.error, IndexError, KeyError, UnicodeDecodeError) as error:
        raise BadCapture(f"{path} is a broken pcapng: {error}") from None


def parse(data: bytes) -> Iterator[Item]:
    order, at = "<", 0
    interfaces: list[Interface] = []
    while at + 12 <= len(data):
        if data[at : at + 4] == pcapng.SECTION.to_bytes(4, "little"):
            order, interfaces = _ORDERS[data[at + 8 : at + 12]], []
        kind, length = struct.unpack_from(order + "II", data, at)
        if length < 12 or length % 4:
            raise struct.error(f"a block of {length} bytes at {at}")
        if at + length > len(data):
            return  # whoever wrote it was stopped
        body = data[at + 8 : at + length - 4]
        item = _item(order, kind, body, interfaces)
        if isinstance(item, Interface):
            interfaces.append(item)
        if item is not None:
            yield item
        at += length


def _item(order: str, kind: int, body: bytes, interfaces: list[Interface]) -> Item | None:
    match kind:
        case pcapng.INTERFACE:
            return _interface(order, body)
        case pcapng.PACKET:
            return _packet(order, body, interfaces)
        case pcapng.SECRETS:
            secret, length = struct.unpack_from(order + "II", body)
            return Secrets(secret, body[8 : 8 + length])
        case pcapng.STATISTICS:
            return _counted(order, body, interfaces)
    return None


def _interface(order: str, body: bytes) -> Interface:
    [link_type] = struct.unpack_from(order + "H", body)
    options = _options(order, body[8:])
    resolution = options.get(pcapng.IF_TSRESOL, bytes([MICROSECONDS]))[0]
    per_second = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    return Interface(options.get(pcapng.IF_NAME, b"").decode(), link_type, per_second)


def _packet(order: str, body: bytes, interfaces: list[Interface]) -> Packet:
    number, high, low, kept, length = struct.unpack_from(order + "IIIII", body)
    interface = interfaces[number]
    options = _options(order, body[20 + kept + -kept % 4 :])
    flags = struct.unpack(order + "I", options.get(pcapng.EPB_FLAGS, bytes(4)))[0]
    return Packet(
        interface,
        (high << 32 | low) / interface.per_second,
        body[20 : 20 + kept],
        length,
        flags & 3,
        options.get(pcapng.COMMENT, b"").decode(errors="replace"),
    )


def _counted(order: str, body: bytes, interfaces: list[Interface]) -> Counted:
    number, high, low = struct.unpack_from(order + "III", body)
    interface = interfaces[number]
    dropped = _options(order, body[12:]).get(pcapng.ISB_DROPPED, bytes(8))
    at = (high << 32 | low) / interface.per_second
    return Counted(interface, at, struct.unpack(order + "Q", dropped)[0])


def _options(order: str, data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from(order + "HH", data, at)
        if code == 0:
            break
        found.setdefault(code, data[at + 4 : at + 4 + length])
        at += 4 + length + -length % 4
    return found
