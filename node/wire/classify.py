"""What kind of datagram is this? WireGuard, disco, STUN and Geneve share one UDP socket.

They cannot be mistaken for each other: WireGuard's bytes 1..3 are zero, disco starts with a magic
whose first byte no other kind has, STUN has its cookie at bytes 4..7, Geneve its two protocols at
bytes 2..3. What is none of the others goes to WireGuard, which authenticates everything anyway.
"""

from __future__ import annotations

from enum import Enum

from node.wire.disco import MAGIC, looks_like_disco
from node.wire.geneve import DISCO, GENEVE_SIZE, WIREGUARD
from node.wire.stun import is_stun


class Kind(Enum):
    STUN = "stun"
    DISCO = "disco"
    GENEVE = "geneve"
    WIREGUARD = "wireguard"


_WIREGUARD_TYPES = frozenset(bytes([kind, 0, 0, 0]) for kind in (1, 2, 3, 4))
_GENEVE_DISCO = DISCO.to_bytes(2)
_GENEVE_WIREGUARD = WIREGUARD.to_bytes(2)
_BINDING = 0x01  # byte 1 of every STUN message that we could have any use for


def classify(datagram: bytes) -> Kind:
    if datagram[:4] in _WIREGUARD_TYPES:
        return Kind.WIREGUARD  # nearly all datagrams, so it is asked first
    if is_stun(datagram) and datagram[1] == _BINDING:
        return Kind.STUN
    if _looks_like_geneve(datagram):
        return Kind.GENEVE
    if looks_like_disco(datagram):
        return Kind.DISCO
    return Kind.WIREGUARD


def _looks_like_geneve(datagram: bytes) -> bool:
    if len(datagram) < GENEVE_SIZE or datagram[0] & 0xC0 or datagram[1] & 0x3F or datagram[7]:
        return False
    if datagram[2:4] == _GENEVE_WIREGUARD:
        return True
    return datagram[2:4] == _GENEVE_DISCO and datagram.startswith(MAGIC, GENEVE_SIZE)
