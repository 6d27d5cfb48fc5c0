"""From what the machines do to their links to what they shall do, in few steps that lose no packet.

From the qualities of all links follows what every machine must have (`bends`); compared with what it has,
that gives the steps. So a lab that comes up and a live change are the same thing, and a change that failed
half-way is taken back by asking for what was before.
"""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterator, Mapping
from functools import partial

from lab.errors import LabError
from lab.model.link import CLEAN, LinkQuality, Shape
from lab.world import backend, links, netfilter, pings, qdisc
from lab.world.bends import Bends, End, bends_of
from lab.world.build import World
from lab.world.delaying import Delaying, Name
from lab.world.linkrules import tables
from lab.world.netlink import NetlinkError, Request

_HARDWARE_ADDRESS = 0x8927  # SIOCGIFHWADDR
_ONE, _ANY = 1, 65535  # packets in a super-packet


class Shaping:
    def __init__(self, world: World, delaying: Delaying) -> None:
        self._world = world
        self._delaying = delaying
        self._places = {machine.name: n for n, machine in enumerate(world.plan.machines)}
        self._backend: backend.Backend | None = None
        self._there: dict[str, Bends] = {}
        self._lines: dict[Name, Shape] = {}
        self._macs: dict[End, bytes] = {}

    @property
    def backend(self) -> backend.Backend:
        """Tried when first needed."""
        if self._backend is None:
            net = next(iter(self._world.namespaces.values())).fd
            self._backend = self._world.visitor.inside(net, backend.look)
        return self._backend

    def become(self, qualities: Mapping[str, LinkQuality]) -> None:
        """Raises CannotHere for what this kernel lacks, LabError for what it refuses."""
        bent = {name: each for name, each in qualities.items() if not each.is_clean}
        if not bent and not self._there:
            return
        for name, quality in bent.items():
            self.backend.check(name, quality.up)
            self.backend.check(name, quality.down)
        wanted = bends_of(self._world.plan, qualities, self.backend.netem)
        try:
            self._become(wanted)
        except NetlinkError as error:
            raise LabError(str(error)) from None

    def forget_lines(self) -> None:
        """They ended with their process."""
        self._lines.clear()

    def _become(self, wanted: Mapping[str, Bends]) -> None:
        lines = dict(self._lines_of(wanted))
        gone = self._lines.keys() - lines.keys()
        if lines and not self._lines:
            pings.make_honest()
        for machine, bends in wanted.items():
            for wait in bends.waits:
                self._set_line(machine, (self._places[machine], wait.number), wait.shape)
        for name in gone:
            self._delaying.bend(name, CLEAN)  # lets all go, in order, before the rules are gone
        if gone:
            self._delaying.settle()
        for machine in {**self._there, **wanted}:
            self._set_machine(machine, wanted.get(machine, Bends()))
        for name in gone:
            self._delaying.close(name)
            del self._lines[name]

    def _lines_of(self, wanted: Mapping[str, Bends]) -> Iterator[tuple[Name, Shape]]:
        for machine, bends in wanted.items():
            for wait in bends.waits:
                yield (self._places[machine], wait.number), wait.shape

    def _set_line(self, machine: str, name: Name, shape: Shape) -> None:
        if name not in self._lines:
            try:
                self._delaying.open(name, self._world.namespaces[machine].fd, shape)
            except OSError as error:
                problem = f"{machine}: a queue for delayed packets: {error.strerror}"
                raise LabError(problem) from None
        elif self._lines[name] != shape:
            self._delaying.bend(name, shape)
        self._lines[name] = shape

    def _set_machine(self, machine: str, wanted: Bends) -> None:
        there = self._there.get(machine, Bends())
        namespace = self._world.namespaces[machine]
        if wanted.rules != there.rules:
            indexes = {
                name: index
                for (owner, name), index in self._world.indexes.items()
                if owner == machine
            }
            for wait in wanted.waits:
                if wait.sender is not None:
                    self._macs[wait.sender] = self._mac(wait.sender)
            before, after = (
                tables(bends, indexes, self._macs, self.backend.to_queue)
                for bends in (there, wanted)
            )
            does = f"{machine}: the rules of its links"
            errand = partial(netfilter.replace, before, after, does)
            self._world.visitor.inside(namespace.fd, errand)
        requests = list(self._requests(machine, there, wanted))
        if requests:
            namespace.rtnetlink.send(requests)
        self._there[machine] = wanted

    def _requests(self, machine: str, there: Bends, wanted: Bends) -> Iterator[Request]:
        for device in {**there.queues, **wanted.queues}:
            before = there.queues.get(device, qdisc.NOTHING)
            after = wanted.queues.get(device, qdisc.NOTHING)
            if before != after:
                index = self._world.indexes[machine, device]
                yield from qdisc.change(machine, device, index, before, after)
        for device in there.singles ^ wanted.singles:
            index = self._world.indexes[machine, device]
            size = _ONE if device in wanted.singles else _ANY
            yield links.super_packets(machine, device, index, size)

    def _mac(self, end: End) -> bytes:
        if (known := self._macs.get(end)) is not None:
            return known
        return self._world.visitor.inside(
            self._world.namespaces[end[0]].fd, partial(_hardware_address, end[1])
        )


def _hardware_address(name: str) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16s240x", name.encode())
        return fcntl.ioctl(any_socket, _HARDWARE_ADDRESS, request)[18:24]
