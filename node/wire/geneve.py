"""The 8 bytes before every datagram that goes through a peer relay (RFC 8926, no options).

    version and option length 1 (zero) | 80 if control else 00 | protocol 2 | VNI 3 | 00

The protocol says what follows: a disco packet or a WireGuard message. The control bit is set only
on the bind, challenge and answer messages to or from the relay itself.
"""

from __future__ import annotations

from msgspec import Struct

from node.wire.malformed import Malformed

GENEVE_SIZE = 8
DISCO = 0x7A11
WIREGUARD = 0x7A12
CONTROL_BIT = 0x80
MAX_VNI = 0xFFFFFF


class GeneveHeader(Struct, frozen=True):
    """RFC 8926 §3.4: what is inside, and the number of the pair."""

    protocol: int
    vni: int
    control: bool = False

    def pack(self) -> bytes:
        flags = CONTROL_BIT if self.control else 0
        return bytes([0, flags]) + self.protocol.to_bytes(2) + self.vni.to_bytes(3) + b"\0"


def parse_geneve(datagram: bytes) -> tuple[GeneveHeader, bytes]:
    """The header, and what it carries."""
    if len(datagram) < GENEVE_SIZE:
        raise Malformed(f"geneve: {len(datagram)} bytes, fewer than {GENEVE_SIZE}")
    if datagram[0] or datagram[1] & ~CONTROL_BIT or datagram[7]:
        raise Malformed("geneve: version, options or reserved bits are not zero")
    protocol = int.from_bytes(datagram[2:4])
    if protocol not in (DISCO, WIREGUARD):
        raise Malformed(f"geneve: protocol {protocol:#06x} is neither disco nor WireGuard")
    vni = int.from_bytes(datagram[4:7])
    header = GeneveHeader(protocol, vni, control=bool(datagram[1] & CONTROL_BIT))
    return header, datagram[GENEVE_SIZE:]
