"""The mesh as `wg show` sees a WireGuard interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.core.disco_talk import BY_RELAY
from node.core.mesh_peer import MeshPeer
from node.core.path_outputs import way_of
from node.core.ways import first_hop
from node.keys import NodePrivate
from node.wire.endpoint import Endpoint
from node.wire.uapi import Interface, Peer

if TYPE_CHECKING:
    from node.core.mesh import Mesh


def interface_of(mesh: Mesh, private: NodePrivate, listen_port: int, epoch: float) -> Interface:
    """`epoch` is Unix time minus the clock of the mesh."""
    return Interface(private.raw, listen_port, [_peer(mesh, each, epoch) for each in mesh.roster])


def _peer(mesh: Mesh, peer: MeshPeer, epoch: float) -> Peer:
    state = mesh.device.peer_status(peer.key)
    handshake = state.last_handshake
    return Peer(
        public_key=peer.key.raw,
        preshared_key=peer.config.preshared_key,
        endpoint=_endpoint(peer),
        last_handshake=None if handshake is None else epoch + handshake,
        tx_bytes=state.tx_bytes,
        rx_bytes=state.rx_bytes,
        persistent_keepalive=peer.config.persistent_keepalive,
        allowed_ips=peer.config.allowed_ips,
    )


def _endpoint(peer: MeshPeer) -> Endpoint | None:
    if peer.is_plain:
        return peer.plain_endpoint
    way = way_of(peer.paths.path)
    if way is not None:
        return first_hop(way)
    region = peer.heard_region or peer.config.home_region
    return Endpoint(BY_RELAY, region) if peer.shown is not None else None
