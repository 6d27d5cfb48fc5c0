"""The WireGuard cross-platform userspace API, as `wg` speaks it (wireguard.com/xplatform): the get half.

    get=1                       private_key=..., listen_port=..., then for each peer
    (an empty line)             public_key=..., endpoint=..., ..., and errno=0 (and an empty line)

Keys are hex. Where a peer is reached by a relay the endpoint is 127.3.3.40 and the port the region.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from node.veiled import Veiled
from node.wire.endpoint import Endpoint

END = b"\n\n"
PROTOCOL_VERSION = 1
NOT_PERMITTED, INVALID = 1, 22  # EPERM, EINVAL, negative on the wire

Request = Literal["get", "set", "other"]


class Peer(Veiled, frozen=True):
    """As `wg show` lists it."""

    veiled: ClassVar = ("preshared_key",)
    public_key: bytes
    preshared_key: bytes
    endpoint: Endpoint | None
    last_handshake: float | None  # Unix time
    tx_bytes: int
    rx_bytes: int
    persistent_keepalive: float | None
    allowed_ips: tuple[str, ...]


class Interface(Veiled, frozen=True):
    """As `wg show` lists it, with its peers."""

    veiled: ClassVar = ("private_key",)
    private_key: bytes
    listen_port: int
    peers: Sequence[Peer]


def parse_request(raw: bytes) -> Request:
    first, _, rest = raw.partition(b"\n")
    if first == b"get=1" and not rest:
        return "get"
    return "set" if first == b"set=1" else "other"


def pack_interface(interface: Interface) -> bytes:
    lines = [f"private_key={interface.private_key.hex()}", f"listen_port={interface.listen_port}"]
    for peer in interface.peers:
        lines += _peer(peer)
    return "\n".join(lines).encode() + b"\n" + pack_error(0)


def pack_error(number: int) -> bytes:
    return f"errno={-number}\n\n".encode()


def _peer(peer: Peer) -> Iterator[str]:
    handshake = peer.last_handshake or 0.0
    yield f"public_key={peer.public_key.hex()}"
    yield f"preshared_key={peer.preshared_key.hex()}"
    yield f"protocol_version={PROTOCOL_VERSION}"
    if peer.endpoint is not None:
        yield f"endpoint={peer.endpoint}"
    yield f"last_handshake_time_sec={int(handshake)}"
    yield f"last_handshake_time_nsec={int(handshake % 1 * 1e9)}"
    yield f"tx_bytes={peer.tx_bytes}"
    yield f"rx_bytes={peer.rx_bytes}"
    yield f"persistent_keepalive_interval={int(peer.persistent_keepalive or 0)}"
    yield from (f"allowed_ip={network}" for network in peer.allowed_ips)
