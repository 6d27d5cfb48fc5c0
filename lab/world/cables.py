"""Pulling a machine's cable, and putting it back.

The far end is set down, so the machine sees what a pulled cable shows: no carrier, while its own addresses
and routes stay. On the far side the kernel drops the routes (and IPv6 addresses) of a link that goes
down; they are said again when it comes up. A cable is plugged in when its machine knows that it is.
"""

from __future__ import annotations

from lab.errors import BadRequest, LabError
from lab.model.plan import Wire
from lab.world import carrier, links
from lab.world.build import World
from lab.world.netlink import NetlinkError
from lab.world.record import Record


class Cables:
    def __init__(self, world: World, record: Record) -> None:
        self._world = world
        self._record = record

    def unplug(self, machine: str) -> list[str]:
        return self._set(machine, up=False)

    def plug(self, machine: str) -> list[str]:
        return self._set(machine, up=True)

    def set_wire(self, wire: Wire, up: bool) -> None:
        try:
            self._far_end(wire, up)
        except NetlinkError as error:
            raise LabError(str(error)) from None
        if up:
            carrier.wait(self._world, wire.a, running=True)
            self._world.unplugged.discard(wire.name)
        else:
            self._world.unplugged.add(wire.name)

    def _set(self, machine: str, up: bool) -> list[str]:
        wires = [wire for wire in self._world.plan.wires if wire.a[0] == machine]
        if not wires:
            raise BadRequest(f"{machine} has no cable to unplug: it is the top of the lab")
        for wire in wires:
            self.set_wire(wire, up)
        self._record.add(machine, "link", up=up, wires=[wire.name for wire in wires])
        return [f"{wire.a[0]}/{wire.a[1]} to {wire.b[0]}/{wire.b[1]}" for wire in wires]

    def _far_end(self, wire: Wire, up: bool) -> None:
        machine, name = wire.b
        index = self._world.indexes[wire.b]
        requests = [links.link(machine, name, index, up=up)]
        if up:
            plan = self._world.plan.machine(machine)
            requests += [
                links.address(machine, name, index, address)
                for interface in plan.interfaces
                if interface.name == name
                for address in interface.addresses
            ]
            requests += [
                links.route(machine, route, index) for route in plan.routes if route.dev == name
            ]
        self._world.namespaces[machine].rtnetlink.send(requests)
