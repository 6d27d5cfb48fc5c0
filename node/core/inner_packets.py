"""What a peer may say inside the tunnel: IP packets from its own addresses (WireGuard paper §2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

from node.core.allowed_ips import AllowedIps
from node.wire import ip
from node.wire.malformed import Malformed

Owner = TypeVar("Owner")


def admit(
    plaintexts: Iterable[bytes],
    owner: Owner,
    allowed_ips: AllowedIps[Owner],
    counters: Counter[str],
) -> list[bytes]:
    """The packets that are the owner's to send, without their padding. Keepalives fall out."""
    packets: list[bytes] = []
    allowed: bytes | None = None  # the last address found to be: mostly the next packet's too
    for plaintext in plaintexts:
        if not plaintext:
            continue
        try:
            address, length = ip.source(plaintext), ip.length(plaintext)
        except Malformed:
            counters["bad_inner_packet"] += 1
            continue
        if address != allowed:
            if allowed_ips.lookup(address) is not owner:
                counters["source_not_allowed"] += 1
                continue
            allowed = address
        packets.append(plaintext[:length])
    return packets
