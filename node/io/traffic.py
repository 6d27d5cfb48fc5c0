"""The traffic between TUN, UDP and relays, in batches: the daemon's busy half.

A batch is one read: a super-packet or a run of packets from the TUN interface, a run of datagrams from
the UDP socket. What comes of it leaves at once, for the next batch is made in the same buffers. All that
is not traffic goes to the daemon.

The loop around the cipher starts as plain Python, which is as good as any for a few packets; a faster one is
loaded, in the background, as soon as there is something to carry.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Sequence

from node.core.actions import Action, RelayPath, SendRelay, SendRows, WriteMerged
from node.core.landing import Landing
from node.core.mesh import Mesh
from node.core.rows import transport_runs
from node.core.runs import by_destination
from node.core.segments import PlainSegments, Segments
from node.io.data_path import load, reads_for, way_of
from node.io.loop import Loop
from node.io.relay_links import RelayLinks
from node.io.settings import WAYS
from node.io.tun import Tun
from node.io.udp import UdpPort
from node.keys import NodePublic
from node.wire.endpoint import Endpoint

MUCH = 256  # packets until a faster loop is worth its memory


class Traffic:
    def __init__(
        self,
        loop: Loop,
        mesh: Mesh,
        tun: Tun,
        udp: UdpPort,
        links: RelayLinks,
        *,
        way: str,
        mtu: int,
        perform: Callable[[Sequence[Action]], None],
        unreachable: Callable[[Endpoint], None],
        look_soon: Callable[[], None],
        account_soon: Callable[[], None],
    ) -> None:
        self._loop, self._mesh, self._tun, self._udp, self._links = loop, mesh, tun, udp, links
        self._way, self._mtu = way, mtu
        self._lanes = mesh.lanes
        self._perform, self._unreachable = perform, unreachable
        self._look_soon, self._account_soon = look_soon, account_soon
        self._landing = Landing(mesh.counters)
        self._until_much: int | None = MUCH  # None: nothing better is to come
        mesh.device.use(PlainSegments(mtu, tun.features), tun.features)

    def ready(self) -> None:
        """The node is at its relay: what was asked for by name can be loaded."""
        if self._way != "auto":
            self._load()
        elif self._until_much is not None:
            self._read_as(self._mesh.device.segments)

    def tun_readable(self, _events: int) -> None:
        batches = self._tun.read()
        if batches == ():
            self._passed()
            return
        now = self._loop.now()
        for batch in batches:
            if self._until_much is not None:
                self._count(len(batch) if batch[0].is_ordinary else MUCH)
            for packets in by_destination(batch):
                self._carry(self._mesh.receive_batch(packets, now))

    def udp_readable(self, fd: int, _events: int) -> None:
        batches = self._udp.read(fd)
        if batches == ():
            self._passed()
            return
        now, is_uniform = self._loop.now(), self._mesh.device.segments.is_uniform
        for rows, source in batches:
            if self._until_much is not None:
                self._count(rows.count)
            for index, run in transport_runs(rows, is_uniform):
                if index is not None:
                    self._carry(self._mesh.receive_rows(index, run, source, now))
                else:
                    self._perform(self._mesh.receive_udp(run.copies(), source, now))

    def _passed(self) -> None:
        """Nothing is left of what came: mostly because it has taken a lane."""
        if self._until_much is not None:
            self._count(1)
        if not self._lanes.owes:
            self._lanes.owes = True
            self._account_soon()

    def relayed(self, region: int, peer: NodePublic, packets: Sequence[bytes]) -> None:
        now, source = self._loop.now(), RelayPath(region, peer)
        if self._until_much is not None:
            self._count(len(packets))
        for index, run in self._landing.lay(packets):
            if index is not None:
                self._carry(self._mesh.receive_rows(index, run, source, now))
            else:
                self._perform(self._mesh.receive_relay(region, peer, run.copies(), now))

    def _carry(self, actions: Iterable[Action]) -> None:
        rest: list[Action] = []
        for action in actions:
            match action:
                case SendRows(batch, to):
                    if not self._udp.send_rows(batch, to):
                        self._unreachable(to)
                case WriteMerged(writes):
                    self._tun.write_merged(writes)
                case SendRelay(region, peer, packets):
                    self._links.send(region, peer, packets)
                case _:
                    rest.append(action)
        if rest:
            self._perform(rest)
        else:
            self._look_soon()

    # --- the loop around the cipher ---

    def _count(self, packets: int) -> None:
        self._until_much = (self._until_much or 0) - packets
        if self._until_much <= 0 and self._way == "auto":
            self._load()

    def _load(self) -> None:
        self._until_much = None
        ways = WAYS if self._way == "auto" else (self._way,)
        load(self._loop, self._mtu, self._tun.features, ways, self._loaded)

    def _loaded(self, segments: Segments) -> None:
        if self._way not in ("auto", way_of(segments)):
            line = f"--data-path {self._way}: not to be had here, so it is {segments.name}"
            print(f"node: {line}", file=sys.stderr)
        self._mesh.device.use(segments, self._tun.features)
        self._read_as(segments)
        gc.freeze()  # what is there now stays; collecting it over and over would stop the traffic

    def _read_as(self, segments: Segments) -> None:
        reads = reads_for(segments, self._mtu, self._tun, self._udp)
        self._tun.gather_with(reads.gather)
        self._udp.receive_with(reads.receive, reads.at_once)
        self._perform(self._lanes.use(reads.track, self._loop.now()))
