"""A relay's connections to the other relays of its region: who is there, and packets for them.

Each relay is a client of every other one, proves with the mesh key that it belongs, and watches who
connects there. Packets for such a client go over that connection as ForwardPacket, one hop and no
further. When it breaks, all it told us is forgotten until it is back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from node.core.relay_events import Event, PeerGone, PeerPresent, RelayDown, RelayUp
from node.core.relay_link import Output
from node.core.relay_server import RelayServer
from node.io.derper_settings import MeshSettings
from node.io.loop import Loop, Timer
from node.io.relay_connection import RelayConnection
from node.keys import NodePrivate
from node.netmap import DerpNode
from node.wire.derp import GoneReason
from node.wire.derp_login import ClientDetails

RETRY_FIRST, RETRY_MOST = 0.25, 5.0  # seconds, doubling between


class MeshPeer:
    """One other relay; the registry knows it, by its name, as a forwarder."""

    def __init__(
        self, loop: Loop, server: RelayServer, private: NodePrivate, relay: DerpNode,
        settings: MeshSettings, handle: Callable[[Sequence[Output]], None],
        note: Callable[[str, dict[str, object]], None],
    ) -> None:  # fmt: skip
        self._relay, self.name = relay, f"{relay.host_name}:{relay.derp_port}"
        self._loop, self._server, self._private = loop, server, private
        self._settings, self._handle, self._note = settings, handle, note
        self._delay = RETRY_FIRST
        self._connection: RelayConnection | None = None
        self._timer: Timer | None = None
        self._connect()

    def forward(self, frames: bytes) -> None:
        if self._connection is not None:
            self._connection.send_frames(frames)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> None:
        details = ClientDetails(can_ack_pings=False, mesh_key=self._settings.key)
        self._connection = RelayConnection(
            self._loop, self._relay, self._private, self._settings.ca_file, self._on_event,
            details=details,
        )  # fmt: skip

    def _on_event(self, event: Event) -> None:
        match event:
            case RelayUp():
                self._up()
            case PeerPresent(peer):
                self._server.mesh.peer_present(self.name, peer)
            case PeerGone(peer, GoneReason.DISCONNECTED):
                self._handle(self._server.mesh.peer_gone(self.name, peer))
            case RelayDown(why):
                self._down(why)

    def _up(self) -> None:
        assert self._connection is not None
        self._delay = RETRY_FIRST
        self._connection.watch_conns()
        self._note("mesh_connected", {"relay": self.name})

    def _down(self, why: str) -> None:
        assert self._connection is not None
        if self._connection.server_key == self._server.key:
            return  # the list of relays may name ourselves: that needs no connection
        self._connection = None
        self._handle(self._server.mesh.lost(self.name))
        self._note("mesh_lost", {"relay": self.name, "why": why})
        self._timer = self._loop.at(self._loop.now() + self._delay, self._connect)
        self._delay = min(2 * self._delay, RETRY_MOST)
