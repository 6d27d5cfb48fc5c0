"""The node as a program: a Mesh, and around it the TUN device, the UDP port, the relays, the clock.

Every callback has the same shape: take what is there, hand it to the mesh with the time, do what the
mesh says. `ready` is told once the TUN device is up and the home relay connected; from then on a
packet sent is a packet on its way.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from node.core.actions import (
    Action,
    Answered,
    CloseRelay,
    ConnectRelay,
    Event,
    LogKeys,
    MeasureRelay,
    PreferRelay,
    ProbeRelay,
    SendRelay,
    SendUdp,
    WriteTun,
)
from node.core.limits import Limits
from node.core.mesh import Mesh
from node.core.relay_events import Event as RelayEvent
from node.core.relay_events import PacketsReceived, PeerGone, RelayDown, RelayUp
from node.core.uapi_view import interface_of
from node.io.control import Control, ControlTaken
from node.io.errors import BAD_INPUT, CANNOT_HERE, Refused
from node.io.head_start import HeadStart
from node.io.keylog import KeyLog
from node.io.linkwatch import Links, LinkWatch
from node.io.log import tell
from node.io.loop import READ, Timer
from node.io.portmap import PortMapper
from node.io.portmap import State as PortMappingState
from node.io.requests import Requests
from node.io.settings import read_netmap
from node.io.stamps import Stamps
from node.io.stun_addresses import StunAddresses
from node.io.traffic import Traffic
from node.io.uapi import Uapi
from node.keys import DiscoPrivate, NodePrivate
from node.netmap import Netmap
from node.wire.endpoint import Endpoint
from node.wire.natpmp import LIFETIME
from node.wire.uapi import Interface

ACCOUNT = 0.185  # seconds after packets took a lane; not together with a next ping
LOOK = 0.05  # seconds after a batch: what it made due is due later than that, mostly by far
OVERSLEPT = 5.0  # seconds late: the machine was suspended, and its network may be another one


class Daemon:
    """Everything that can fail fails in here, before anything is promised to anybody."""

    def __init__(self, head: HeadStart) -> None:
        self.loop, self.settings = loop, settings = head.loop, head.settings
        self.netmap, private = head.netmap, head.private
        disco = DiscoPrivate(os.urandom(32))
        self.disco_key = disco.public
        epoch = time.time() - loop.now()
        self._stamps = Stamps(settings.key)
        self._stamp_epoch = self._stamps.first(time.time()) - loop.now()
        mtu = self.netmap.mtu
        limits = Limits(rekey_after_time=settings.rekey_after) if settings.rekey_after else None
        self._keylog = KeyLog(settings.keylog) if settings.keylog else None
        self.mesh = Mesh(
            private,
            disco,
            random=os.urandom,
            epoch=self._stamp_epoch,
            mtu=mtu,
            limits=limits,
            log_keys=self._keylog is not None,
        )
        self.events, self._links = head.events, head.links
        self._udp, self._tun = head.udp, head.tun
        self._requests = Requests(self)
        self._traffic = Traffic(
            loop,
            self.mesh,
            self._tun,
            self._udp,
            self._links,
            way=settings.data_path,
            mtu=mtu,
            perform=self.perform,
            unreachable=self._cannot_reach,
            look_soon=self._look_soon,
            account_soon=partial(self._look_within, ACCOUNT),
        )
        self._timer: Timer | None = None
        self._stun: StunAddresses | None = None
        self._unreachable: set[Endpoint] = set()
        self._is_ready = False
        self._control: Control | None = None
        if settings.control:
            self._control = Control(loop, settings.control, self._requests.handle)
        self._uapi = Uapi(loop, settings.tun, partial(self._as_interface, private, epoch))
        self.mapper: PortMapper | None = None
        lifetime = LIFETIME if settings.port_mapping is None else settings.port_mapping
        if lifetime:
            self.mapper = PortMapper(loop, self._udp.port, lifetime, self._port_mapping_changed)
        self._start()
        head.hand_over(self._relay_event)
        self._note_ready()

    def _start(self) -> None:
        self._configure_tun(self.netmap)
        self._watch = LinkWatch(self.loop, self._tun.index, self._links_changed)
        self._apply_netmap(self.netmap)
        self.mesh.surroundings.set_explicit(self.settings.endpoints)
        local = self._local_endpoints(self._watch.links)
        self.perform(self.mesh.set_local_endpoints(local, self.loop.now()))
        self.loop.watch(self._tun.fd, READ, self._traffic.tun_readable)
        for fd in self._udp.fds:
            self.loop.watch(fd, READ, partial(self._traffic.udp_readable, fd))
        if self.mapper is not None:
            self.mapper.look()

    def stop(self) -> None:
        """The router gets its port back; peers and relays notice by themselves."""
        if self.mapper is not None:
            self.mapper.give_back(self._close)
        else:
            self._close()

    def _close(self) -> None:
        if self.mapper is not None:
            self.mapper.close()
        self._links.close_all()
        self._watch.close()
        if self._control is not None:
            self._control.close()
        self._uapi.close()
        self.tell("stopped", {})
        self._udp.close()
        self._tun.close()
        self.loop.stop()

    # --- the netmap ---

    def reload(self) -> None:
        """Read the netmap again. A bad one is refused whole, and the old one stays."""
        netmap = read_netmap(self.settings.netmap)
        if netmap.mtu != self.netmap.mtu:  # pings are as large as data, and buffers are cut to it
            line = f"{self.settings.netmap}: mtu: {netmap.mtu} takes a restart"
            raise Refused(f"{line}; it is {self.netmap.mtu}", BAD_INPUT)
        try:
            self._configure_tun(netmap)
        except Refused:
            with suppress(Refused):
                self._configure_tun(self.netmap)
            raise
        self.netmap = netmap
        self._apply_netmap(netmap)
        regions = [region.region_code for region in netmap.regions.values()]
        self.tell("netmap", {"peers": [peer.name for peer in netmap.peers], "regions": regions})

    def _configure_tun(self, netmap: Netmap) -> None:
        networks = [each for peer in netmap.peers for each in peer.allowed_ips]
        try:
            self._tun.configure(netmap.addresses, networks, netmap.mtu)
        except OSError as error:
            line = f"interface {self._tun.name}: cannot set addresses and routes: {error.strerror}"
            raise Refused(line, CANNOT_HERE) from None

    def _apply_netmap(self, netmap: Netmap) -> None:
        self._links.regions = netmap.regions
        self.perform(self.mesh.set_netmap(netmap, self.loop.now()))
        if self._stun is not None:
            self._stun.cancel()
        self._stun = StunAddresses(
            self.loop, netmap.regions, self._udp.has_ipv6, self._stun_servers_found
        )

    def _stun_servers_found(self, servers: dict[int, list[Endpoint]]) -> None:
        self.perform(self.mesh.set_relay_addresses(servers, self.loop.now()))

    # --- what happens ---

    def _relay_event(self, region: int, server: str, event: RelayEvent) -> None:
        now = self.loop.now()
        match event:
            case RelayUp():
                self.perform(self.mesh.relay_connected(region, now, server))
                self._note_ready()
            case PacketsReceived(peer, packets):
                self._traffic.relayed(region, peer, packets)
            case PeerGone(peer, reason):
                self.mesh.relay_peer_gone(region, peer, reason, now)
            case RelayDown(why, retry):
                self.perform(self.mesh.relay_lost(region, why, now, retry=retry))
            case _:
                self.mesh.relay_alive(region)
                self._arm()

    def _links_changed(self, before: Links, links: Links) -> None:
        if self.mapper is not None:
            self.mapper.look()
        now = self.loop.now()
        for region in self._links.sever(set(before.local) - set(links.local)):
            self.perform(self.mesh.relay_lost(region, "our address there is gone", now))
        self.perform(self.mesh.link_changed(now, self._local_endpoints(links)))

    def _port_mapping_changed(self, state: PortMappingState) -> None:
        self.tell("port_mapping", state.fields())
        self.perform(self.mesh.set_mapped_endpoint(state.external, self.loop.now()))

    def _local_endpoints(self, links: Links) -> list[Endpoint]:
        usable = [each for each in links.local if ":" not in each or self._udp.has_ipv6]
        return [Endpoint(each, self._udp.port) for each in usable]

    def _as_interface(self, private: NodePrivate, epoch: float) -> Interface:
        self.mesh.lanes.settle()
        return interface_of(self.mesh, private, self._udp.port, epoch)

    def _note_ready(self) -> None:
        home = self.mesh.relays.home
        if self._is_ready or not (home is None or self.mesh.relays.is_up(home)):
            return
        self._is_ready = True
        fields = {
            "addresses": list(self.netmap.addresses),
            "node_key": str(self.mesh.public),
            "disco_key": str(self.disco_key),
            "listen_port": self._udp.port,
        }
        self.tell("ready", fields)
        self._traffic.ready()

    @property
    def counters(self) -> dict[str, int]:
        """What went wrong with interfaces, relays and the router; the mesh has its own."""
        parts = {
            "relay": self._links.counters,
            "tun": self._tun.counters,
            "udp": self._udp.counters,
        }
        if self.mapper is not None:
            parts["portmap"] = self.mapper.counters
        return {f"{part}_{name}": n for part, those in parts.items() for name, n in those.items()}

    def tell(self, event: str, fields: Mapping[str, Any]) -> None:
        """Programs by the events, people by the log."""
        self.events.write(event, fields)
        tell(event, fields)

    # --- time ---

    def _arm(self) -> None:
        deadline = self.mesh.deadline
        if deadline is not None:
            self._wake_by(deadline)

    def _look_soon(self) -> None:
        """After a batch: asking everybody for a deadline takes longer than the batch. Lanes are asked."""
        self._look_within(LOOK)
        if self.mesh.lanes.deadline is not None:
            self._wake_by(self.mesh.lanes.deadline)

    def _look_within(self, seconds: float) -> None:
        self._wake_by(self.loop.now() + seconds)

    def _wake_by(self, when: float) -> None:
        timer = self._timer
        if timer is not None and timer.when <= when:
            return  # a timer that fires too early just looks again
        if timer is not None:
            timer.cancel()
        self._timer = self.loop.at(when, partial(self._tick, when))

    def _tick(self, due: float) -> None:
        self._timer = None
        now = self.loop.now()
        if now - due > OVERSLEPT:
            if self.mapper is not None:
                self.mapper.look()
            self.perform(self.mesh.link_changed(now))
        self.perform(self.mesh.tick(now))

    # --- what the mesh says ---

    def perform(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case SendUdp(datagrams, to):
                    if not self._udp.send(datagrams, to):
                        self._cannot_reach(to)
                case WriteTun(packets):
                    self._tun.write(packets)
                case SendRelay(region, peer, packets):
                    self._links.send(region, peer, packets)
                case ConnectRelay(region):
                    self._links.connect(region)
                case CloseRelay(region):
                    self._links.close(region)
                case PreferRelay(region, home):
                    self._links.prefer(region, home)
                case ProbeRelay(region):
                    self._links.probe(region)
                case MeasureRelay(region):
                    found = partial(self.mesh.surroundings.relay_measured, region)
                    self._links.measure(region, found)
                case Event(name, fields, is_verbose):
                    if name == "handshake":
                        self._stamps.reached(self._stamp_epoch + self.loop.now())
                    if self.settings.verbose or not is_verbose:
                        self.tell(name, fields)
                case LogKeys(secrets) if self._keylog is not None:
                    self._keylog.write(secrets)
                case Answered():
                    self._requests.answered(action)
        self._arm()

    def _cannot_reach(self, to: Endpoint) -> None:
        if not self._unreachable:
            self.loop.soon(self._tell_unreachable)
        self._unreachable.add(to)

    def _tell_unreachable(self) -> None:
        unreachable, self._unreachable = self._unreachable, set()
        for to in unreachable:
            self.perform(self.mesh.udp_failed(to, self.loop.now()))


def _reload(daemon: Daemon) -> None:
    try:
        daemon.reload()
    except Refused as refused:
        daemon.tell("netmap_refused", {"why": str(refused)})


def run(head: HeadStart) -> int:
    loop = head.loop
    try:
        daemon = Daemon(head)
    except Refused as refused:
        print(f"node: {refused}", file=sys.stderr)
        return refused.status
    except ControlTaken as problem:
        print(f"node: {problem}", file=sys.stderr)
        return CANNOT_HERE
    loop.on_signals((signal.SIGTERM, signal.SIGINT), daemon.stop)
    loop.on_signals((signal.SIGHUP,), partial(_reload, daemon))
    loop.run()
    return 0
