"""What a node says of itself when asked: values, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from node.core.by_relay import ByRelay
from node.core.candidates import Candidate
from node.core.mesh_peer import MeshPeer
from node.core.path_outputs import Relayed, kind_of

if TYPE_CHECKING:
    from node.core.mesh import Mesh


class CandidateState(Struct, frozen=True):
    """Where a peer may be reached, and whether it was."""

    endpoint: str
    sources: tuple[str, ...]  # netmap, call-me-maybe, learned
    pings_sent: int
    pongs: int
    pings_received: int
    last_ping_age: float | None  # seconds since we pinged it
    last_pong_age: float | None
    latency_ms: float | None


class PeerState(Struct, frozen=True):
    """A peer, for people and programs: who, by which path, how much."""

    name: str
    node_key: str
    addresses: tuple[str, ...]
    active: bool
    kind: str  # relay, direct, peer-relay, none
    via: str
    rtt_ms: float | None
    relay: str  # the peer's home, whatever the path
    handshake_age: float | None  # seconds
    rx_bytes: int
    tx_bytes: int
    candidates: tuple[CandidateState, ...]


class MeshStatus(Struct, frozen=True):
    """Ourselves and all our peers, for people and programs."""

    name: str
    node_key: str
    addresses: tuple[str, ...]
    home: str | None
    relays: tuple[str, ...]  # those we are connected to
    endpoints: tuple[str, ...]
    peers: tuple[PeerState, ...]
    data_path: str  # plain, numpy or c, and the cipher
    counters: Mapping[str, int]


def status_of(mesh: Mesh, by_relay: ByRelay, now: float) -> MeshStatus:
    home = mesh.relays.home
    return MeshStatus(
        name=mesh.roster.name,
        node_key=str(mesh.public),
        addresses=mesh.roster.addresses,
        home=None if home is None else by_relay.code(home),
        relays=tuple(map(by_relay.code, mesh.relays.up)),
        endpoints=tuple(str(each) for each in mesh.surroundings.endpoints(now)),
        peers=tuple(_peer_state(mesh, by_relay, peer, now) for peer in mesh.roster),
        data_path=mesh.device.segments.name,
        counters={name: count for name, count in sorted(mesh.all_counters.items()) if count},
    )


def _peer_state(mesh: Mesh, by_relay: ByRelay, peer: MeshPeer, now: float) -> PeerState:
    kind, via = _path(by_relay, peer, now)
    device = mesh.device.peer_status(peer.key)
    handshake = device.last_handshake
    rtt = peer.paths.rtt if kind in ("direct", "peer-relay") else None
    return PeerState(
        name=peer.name,
        node_key=str(peer.key),
        addresses=peer.config.addresses,
        active=peer.is_active(now),
        kind=kind,
        via=via,
        rtt_ms=None if rtt is None else round(1000 * rtt, 3),
        relay=by_relay.code(peer.config.home_region),
        handshake_age=_age(handshake, now),
        rx_bytes=device.rx_bytes,
        tx_bytes=device.tx_bytes,
        candidates=tuple(_candidate_state(each, now) for each in peer.paths.candidates),
    )


def _candidate_state(candidate: Candidate, now: float) -> CandidateState:
    sources = {
        "netmap": candidate.in_netmap,
        "call-me-maybe": candidate.called,
        "learned": candidate.learned_at is not None,
    }
    return CandidateState(
        endpoint=str(candidate.endpoint),
        sources=tuple(source for source, named in sources.items() if named),
        pings_sent=candidate.pings_sent,
        pongs=candidate.pongs,
        pings_received=candidate.pings_received,
        last_ping_age=_age(candidate.pinged_at, now),
        last_pong_age=_age(candidate.ponged_at, now),
        latency_ms=None if candidate.latency is None else round(1000 * candidate.latency, 3),
    )


def _age(at: float | None, now: float) -> float | None:
    return None if at is None else round(now - at, 3)


def _path(by_relay: ByRelay, peer: MeshPeer, now: float) -> tuple[str, str]:
    if peer.is_plain:
        endpoint = peer.plain_endpoint
        return ("direct", str(endpoint)) if endpoint else ("none", "")
    path = peer.paths.path
    if not isinstance(path, Relayed):
        return kind_of(path), str(path)
    if peer.shown is None:
        return "none", ""
    return "relay", by_relay.via(peer, now)
