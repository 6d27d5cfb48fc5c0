"""What a peer may say inside the tunnel: IP packets from its own addresses (WireGuard paper §2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from node.core.allowed_ips import AllowedIps
from node.core.checksum import Buffer
from node.core.coalesce import source_of
from node.core.tun_features import TunFeatures
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


def admit_writes(
    writes: Sequence[Buffer],
    features: TunFeatures,
    owner: Owner,
    allowed_ips: AllowedIps[Owner],
    counters: Counter[str],
) -> Sequence[Buffer]:
    """The same for merged packets: those of one write have one source."""
    lookup = allowed_ips.lookup
    refused = [w for w in writes if lookup(source_of(w, features)) is not owner]
    if not refused:
        return writes
    counters["source_not_allowed"] += len(refused)
    return [write for write in writes if not any(write is each for each in refused)]
