"""A small internet in memory: nodes behind modelled NATs, relays, delays, losses, a clock that jumps.

The clock goes exactly to the next arrival or the next deadline, never between; so a deadline that is
late, or that a tick does not move, shows. Every tick is checked for the one rule of all cores: after
it, the deadline is later or None.

With PUNCHLAB_DATA_PATH=plain, numpy or c in the environment all packets travel in batches, by that
data path, as they do in the daemon, and lone ones take lanes; without it one by one.
"""

from __future__ import annotations

import heapq
import itertools
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from ipaddress import ip_address

from node.core.actions import (
    Action,
    Answered,
    CloseRelay,
    ConnectRelay,
    Event,
    MeasureRelay,
    ProbeRelay,
    RelayPath,
    SendRelay,
    SendRows,
    SendUdp,
    WriteMerged,
    WriteTun,
)
from node.core.landing import Landing
from node.core.mesh import Mesh
from node.core.plain_track import PlainTrack
from node.core.superpacket import SuperPacket, ordinary
from node.core.tun_features import NO_OFFLOAD
from node.io.data_path import fastest
from node.keys import DiscoPrivate, NodePrivate, NodePublic
from node.netmap import DerpRegion, Netmap, Peer
from node.wire import stun
from node.wire.disco import looks_like_disco
from node.wire.endpoint import Endpoint
from tests.node.nat_model import Nat

DATA_PATH = os.environ.get("PUNCHLAB_DATA_PATH", "")
PORT = 41641
STUN_PORT = 3478
EPOCH = 1_700_000_000.0
OVERSLEPT, ACCOUNT = 5.0, 0.185  # seconds; as the daemon has them


@dataclass
class Relay:
    """A DERP server and its STUN server, as far as the nodes see them."""

    region: int
    code: str
    address: str
    is_up: bool = True
    answers_stun: bool = True
    clients: dict[NodePublic, Machine] = field(default_factory=dict)
    carried: list[tuple[float, bytes]] = field(default_factory=list)
    keeps: bool = True

    @property
    def stun(self) -> Endpoint:
        return Endpoint(self.address, STUN_PORT)


@dataclass
class Machine:
    name: str
    overlay: str
    private: NodePrivate
    home_region: int
    nat: Nat | None
    endpoint: Endpoint  # of its own interface
    mesh: Mesh
    received: list[tuple[float, bytes]] = field(default_factory=list)
    events: list[tuple[float, Event]] = field(default_factory=list)
    answers: list[tuple[float, Answered]] = field(default_factory=list)
    connections: set[int] = field(default_factory=set)  # regions dialled or open
    relays_for_peers: bool = False
    epoch: float = EPOCH  # its wall clock, as it was when its process started, less the net's
    frozen_until: float = 0.0  # stands still: what arrives waits, and no tick comes
    landing: Landing = field(default_factory=Landing)
    due: float | None = (
        None  # its mesh's deadline, as it was after the last thing that happened to it
    )
    generation: int = 0
    ticks: int = 0
    sent: int = 0
    passed: int = 0  # lone packets that took a lane

    @property
    def track(self) -> PlainTrack:
        assert isinstance(self.mesh.lanes.track, PlainTrack)
        return self.mesh.lanes.track

    @cached_property
    def key(self) -> NodePublic:
        return self.private.public

    def events_of(self, name: str) -> list[Event]:
        return [event for _, event in self.events if event.name == name]

    def history(self, peer: Machine) -> list[str]:
        """The kinds of path to that peer, one after the other."""
        kinds = [
            str(event.fields["kind"])
            for event in self.events_of("path")
            if event.fields["peer"] == peer.name
        ]
        return [kind for kind, _ in itertools.groupby(kinds)]

    def kind(self, peer: Machine) -> str:
        return next((each for each in reversed(self.history(peer))), "none")


class Network:
    def __init__(self, *, seed: int = 1, one_way: float = 0.010, start: float = 1000.0) -> None:
        self.now = start
        self.dice = random.Random(seed)
        self.one_way = one_way
        self.relay_one_way = one_way  # from a node to a relay
        self.far: dict[tuple[str, int], float] = {}  # (node, region): one way, where it differs
        self.loss = 0.0  # of UDP
        self.machines: dict[str, Machine] = {}
        self.relays: dict[int, Relay] = {}
        self.cut: set[tuple[str, str]] = set()  # (from, to): UDP between these is lost
        self.cut_relays: set[tuple[str, int]] = set()
        self.lost: Callable[[Machine, Endpoint, bytes], bool] = lambda *_: False
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    # --- what there is ---

    def add_relay(self, region: int, code: str, address: str) -> Relay:
        relay = self.relays[region] = Relay(region, code, address)
        return relay

    def add_node(
        self, name: str, overlay: str, *, address: str, nat: Nat | None = None, home: int = 900
    ) -> Machine:
        private = NodePrivate.from_seed(self.dice.randbytes(32))
        endpoint = Endpoint(address, PORT)
        mesh = self._new_mesh(private, EPOCH)
        self.machines[name] = Machine(name, overlay, private, home, nat, endpoint, mesh)
        return self.machines[name]

    def start(self) -> None:
        """All nodes come up, and everything that happens without traffic happens."""
        for machine in self.machines.values():
            self.boot(machine)
        self.run(1.0)

    def boot(self, machine: Machine) -> None:
        mesh, now = machine.mesh, self.now
        self.perform(machine, mesh.set_netmap(self.netmap(machine), now))
        self.perform(machine, mesh.set_local_endpoints([machine.endpoint], now))
        servers = {relay.region: [relay.stun] for relay in self.relays.values()}
        self.perform(machine, mesh.set_relay_addresses(servers, now))

    def restart(self, machine: Machine) -> None:
        """The process dies and comes back: same node key, same port, all else forgotten.

        What its wall clock says now, `machine.epoch`, is what it goes by from here on.
        """
        machine.generation += 1
        machine.frozen_until = 0.0
        for relay in self.relays.values():
            self._leave(relay, machine)
        machine.connections.clear()
        machine.mesh = self._new_mesh(machine.private, machine.epoch)
        self.boot(machine)

    def netmap(self, machine: Machine) -> Netmap:
        others = [each for each in self.machines.values() if each is not machine]
        peers = [
            Peer(
                o.name,
                o.key,
                None,
                (o.overlay,),
                (f"{o.overlay}/32",),
                o.home_region,
                peer_relay=o.relays_for_peers,
            )
            for o in others
        ]
        regions = {r.region: DerpRegion(r.region, r.code, ()) for r in self.relays.values()}
        return Netmap(
            machine.name,
            (machine.overlay,),
            tuple(peers),
            regions,
            peer_relay=machine.relays_for_peers,
        )

    def _new_mesh(self, private: NodePrivate, epoch: float) -> Mesh:
        disco = DiscoPrivate(self.dice.randbytes(32))
        mesh = Mesh(private, disco, random=self.dice.randbytes, epoch=epoch)
        if DATA_PATH:
            mesh.device.use(fastest(1280, NO_OFFLOAD, (DATA_PATH,)), NO_OFFLOAD)
            mesh.lanes.use(PlainTrack(1280), self.now)
        return mesh

    # --- what people do ---

    def send(self, source: Machine, to: Machine, payload: bytes) -> None:
        whole = packet(source.overlay, to.overlay, payload)
        if DATA_PATH:
            self._send_alone(source, ordinary(whole))
        else:
            self.perform(source, source.mesh.receive_tun([whole], self.now))

    def _send_alone(self, source: Machine, whole: SuperPacket) -> None:
        passed = source.track.out(whole, self.now)
        if passed is None:
            self.perform(source, list(source.mesh.receive_batch([whole], self.now)))
            return
        source.passed += 1
        self._send_udp(source, *passed)
        self._account_soon(source)

    def _account_soon(self, machine: Machine) -> None:
        within = self.now + ACCOUNT
        machine.due = within if machine.due is None else min(machine.due, within)

    def ping(self, source: Machine, to: Machine, ask: int) -> None:
        self.perform(source, source.mesh.ping(ask, to.key, self.now))

    def cut_direct(self, a: Machine, b: Machine) -> None:
        self.cut |= {(a.name, b.name), (b.name, a.name)}

    def mend_direct(self, a: Machine, b: Machine) -> None:
        self.cut -= {(a.name, b.name), (b.name, a.name)}

    def kill(self, relay: Relay) -> None:
        relay.is_up = relay.answers_stun = False
        for machine in list(relay.clients.values()):
            self._leave(relay, machine)
            self._later(self.relay_one_way, machine, self._lost(machine, relay.region, "it closed"))

    def revive(self, relay: Relay) -> None:
        relay.is_up = relay.answers_stun = True

    def throw_out(self, machine: Machine, relay: Relay) -> None:
        """Its connection is reset, and it cannot make another; the relay itself is well."""
        self.cut_relays.add((machine.name, relay.region))
        self._leave(relay, machine)
        self._later(self.relay_one_way, machine, self._lost(machine, relay.region, "reset"))

    # --- time ---

    def at(self, when: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._order), call))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while (next_time := self._next()) is not None and next_time <= end:
            self.now = max(self.now, next_time)
            self._step()
        self.now = end

    def run_until(self, done: Callable[[], bool], within: float) -> float:
        """The time it took; fails when it did not come true."""
        began = self.now
        while not done():
            next_time = self._next()
            assert next_time is not None, "nothing will ever happen again"
            assert next_time <= began + within, f"not within {within} s"
            self.now = max(self.now, next_time)
            self._step()
        return self.now - began

    def _next(self) -> float | None:
        deadlines = [self._due(machine) for machine in self.machines.values()]
        times = [deadline for deadline in deadlines if deadline is not None]
        return min([*times, *(entry[0] for entry in self._queue[:1])], default=None)

    def _step(self) -> None:
        while self._queue and self._queue[0][0] <= self.now:
            heapq.heappop(self._queue)[2]()
        for machine in self.machines.values():
            due = self._due(machine)
            if due is not None and due <= self.now:
                machine.ticks += 1
                self.perform(machine, machine.mesh.tick(self.now))
                after = machine.mesh.deadline
                assert after is None or after > self.now, "a tick left its deadline where it was"

    @staticmethod
    def _due(machine: Machine) -> float | None:
        return None if machine.due is None else max(machine.due, machine.frozen_until)

    def freeze(self, machine: Machine, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later. The daemon looks at its links again if it slept for long."""
        machine.frozen_until = self.now + seconds
        if seconds > OVERSLEPT:
            self._later(
                seconds,
                machine,
                lambda: self.perform(machine, machine.mesh.link_changed(self.now)),
            )

    def _later(self, delay: float, machine: Machine, call: Callable[[], None]) -> None:
        """Something that machine notices, when it does not stand still."""
        self._fly(delay, machine, lambda: self._when_awake(machine, call))

    def _when_awake(self, machine: Machine, call: Callable[[], None]) -> None:
        if self.now < machine.frozen_until:
            self._later(machine.frozen_until - self.now, machine, call)
        else:
            call()

    def _fly(self, delay: float, machine: Machine, call: Callable[[], None]) -> None:
        generation = machine.generation

        def still_there() -> None:
            if machine.generation == generation:
                call()

        self.at(self.now + delay, still_there)

    # --- what the nodes want ---

    def perform(self, machine: Machine, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case SendUdp(datagrams, to):
                    for datagram in datagrams:
                        self._send_udp(machine, datagram, to)
                case SendRows(batch, to):
                    for datagram in [bytes(each) for rows in batch for each in rows.datagrams()]:
                        self._send_udp(machine, datagram, to)
                case SendRelay(region, peer, packets):
                    self._send_relay(machine, region, peer, packets)
                case WriteTun(packets) | WriteMerged(packets):
                    machine.received += [(self.now, bytes(each[20:])) for each in packets]
                case ConnectRelay(region):
                    self._connect(machine, region)
                case CloseRelay(region):
                    machine.connections.discard(region)
                    self._leave(self.relays[region], machine)
                case ProbeRelay(region):
                    self._probe(machine, region)
                case MeasureRelay(region):
                    self._measure(machine, region)
                case Event():
                    machine.events.append((self.now, action))
                case Answered():
                    machine.answers.append((self.now, action))
        machine.due = machine.mesh.deadline

    def _send_udp(self, machine: Machine, datagram: bytes, to: Endpoint) -> None:
        machine.sent += 1
        if self.dice.random() < self.loss or self.lost(machine, to, datagram):
            return
        source = machine.endpoint
        if machine.nat is not None:
            if _is_private(to):
                self._arrive_in_lan(machine, datagram, to)
                return
            source = machine.nat.outbound(source, to, self.now)
            if to.address == machine.nat.address and not machine.nat.hairpin:
                return
        elif _is_private(to):
            return
        self._fly(self.one_way, machine, lambda: self._arrive(machine, datagram, source, to))

    def _arrive_in_lan(self, machine: Machine, datagram: bytes, to: Endpoint) -> None:
        for other in self.machines.values():
            if other.nat is machine.nat and other.endpoint == to and other is not machine:
                self._later(0.0005, machine, self._deliver(other, datagram, machine.endpoint))

    def _arrive(self, sender: Machine, datagram: bytes, source: Endpoint, to: Endpoint) -> None:
        for relay in self.relays.values():
            if to == relay.stun and relay.answers_stun:
                if (sender.name, relay.region) in self.cut_relays:
                    return
                answer = stun.response(stun.parse_request(datagram), source)
                inside = sender.endpoint if sender.nat is None else None
                if sender.nat is not None:
                    inside = sender.nat.inbound(source, to, self.now)
                if inside is not None:
                    there_and_back = 2 * self._distance(sender, relay.region) - self.one_way
                    self._later(there_and_back, sender, self._deliver(sender, answer, to))
        for machine in self.machines.values():
            inside = machine.endpoint if machine.nat is None and to == machine.endpoint else None
            if machine.nat is not None and to.address == machine.nat.address:
                inside = machine.nat.inbound(to, source, self.now)
            if inside == machine.endpoint and (sender.name, machine.name) not in self.cut:
                self._deliver(machine, datagram, source)()

    def _deliver(self, machine: Machine, datagram: bytes, source: Endpoint) -> Callable[[], None]:
        def deliver() -> None:
            if DATA_PATH and (whole := machine.track.into(datagram, source, self.now)) is not None:
                machine.passed += 1
                machine.received.append((self.now, whole[20:]))
                self._account_soon(machine)
                return
            [(index, rows)] = machine.landing.lay([datagram])
            if DATA_PATH and index is not None:
                actions = list(machine.mesh.receive_rows(index, rows, source, self.now))
            else:
                actions = machine.mesh.receive_udp([datagram], source, self.now)
            self.perform(machine, actions)

        return lambda: self._when_awake(machine, deliver)

    # --- relays ---

    def _distance(self, machine: Machine, region: int) -> float:
        return self.far.get((machine.name, region), self.relay_one_way)

    def _measure(self, machine: Machine, region: int) -> None:
        """TCP and TLS, and then a request over HTTPS."""
        relay, round_trip = self.relays[region], 2 * self._distance(machine, region)

        def answered() -> None:
            if relay.is_up and (machine.name, region) not in self.cut_relays:
                machine.mesh.surroundings.relay_measured(region, round_trip)

        self._later(3 * round_trip, machine, answered)

    def _connect(self, machine: Machine, region: int) -> None:
        assert region not in machine.connections, "dialled twice"
        relay = self.relays[region]
        machine.connections.add(region)

        def dialled() -> None:
            if region not in machine.connections:
                return
            if not relay.is_up or (machine.name, region) in self.cut_relays:
                self._lost(machine, region, "connection refused")()
                return
            relay.clients[machine.key] = machine
            actions = machine.mesh.relay_connected(region, self.now, relay.code)
            self.perform(machine, actions)

        self._later(4 * self._distance(machine, region), machine, dialled)

    def _lost(self, machine: Machine, region: int, why: str) -> Callable[[], None]:
        def lose() -> None:
            if region in machine.connections:
                machine.connections.discard(region)
                self.perform(machine, machine.mesh.relay_lost(region, why, self.now))

        return lose

    def _leave(self, relay: Relay, machine: Machine) -> None:
        if relay.clients.pop(machine.key, None) is None:
            return
        for other in relay.clients.values():
            self._later(
                self.relay_one_way, other, self._tell_gone(other, relay.region, machine.key, 0)
            )

    def _tell_gone(
        self, machine: Machine, region: int, peer: NodePublic, reason: int
    ) -> Callable[[], None]:
        def tell() -> None:
            machine.mesh.relay_peer_gone(region, peer, reason, self.now)
            self.perform(machine, [])

        return tell

    def _send_relay(
        self, machine: Machine, region: int, peer: NodePublic, packets: Sequence[bytes]
    ) -> None:
        relay = self.relays[region]
        if machine.key not in relay.clients or (machine.name, region) in self.cut_relays:
            return
        if relay.keeps:
            relay.carried += [(self.now, each) for each in packets]
        self._fly(
            self._distance(machine, region),
            machine,
            lambda: self._forward(machine, relay, peer, list(packets)),
        )

    def _forward(
        self, machine: Machine, relay: Relay, peer: NodePublic, packets: list[bytes]
    ) -> None:
        to = relay.clients.get(peer)
        if to is None:
            if any(map(looks_like_disco, packets)):
                self._later(
                    self.relay_one_way, machine, self._tell_gone(machine, relay.region, peer, 1)
                )
            return
        if (to.name, relay.region) in self.cut_relays:
            return
        source = RelayPath(relay.region, machine.key)
        self._later(
            self._distance(to, relay.region), to, lambda: self._hand_over(to, source, packets)
        )

    def _hand_over(self, to: Machine, source: RelayPath, packets: list[bytes]) -> None:
        region, key = source.region, source.peer
        if not DATA_PATH:
            self.perform(to, to.mesh.receive_relay(region, key, packets, self.now))
            return
        for index, rows in to.landing.lay(packets):
            if index is not None:
                actions = list(to.mesh.receive_rows(index, rows, source, self.now))
            else:
                datagrams = [bytes(each) for each in rows.datagrams()]
                actions = to.mesh.receive_relay(region, key, datagrams, self.now)
            self.perform(to, actions)

    def _alive(self, machine: Machine, region: int) -> None:
        machine.mesh.relay_alive(region)
        self.perform(machine, [])

    def _probe(self, machine: Machine, region: int) -> None:
        relay = self.relays[region]
        alive = machine.key in relay.clients and (machine.name, region) not in self.cut_relays
        if alive:
            self._later(2 * self.relay_one_way, machine, lambda: self._alive(machine, region))
        else:
            self._later(5.0, machine, self._lost(machine, region, "a ping was left unanswered"))


@lru_cache(maxsize=64)
def _packed(address: str) -> bytes:
    return ip_address(address).packed


def packet(source: str, destination: str, payload: bytes) -> bytes:
    """An IPv4 packet as far as a tunnel looks."""
    head = bytes([0x45, 0]) + (20 + len(payload)).to_bytes(2, "big") + bytes(4) + b"\x40\x11\0\0"
    return head + _packed(source) + _packed(destination) + payload


def _is_private(endpoint: Endpoint) -> bool:
    return endpoint.address.startswith(("192.168.", "10."))
