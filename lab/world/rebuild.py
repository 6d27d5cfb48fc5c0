"""From one plan to another in a world that runs: what differs is changed, and nothing else is touched.

The machines are the same ones. What may differ is where a wire is plugged in, and of each machine its
addresses, routes, rules, switches and names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from lab.errors import LabError
from lab.model.plan import Machine, Plan, Wire
from lab.world import carrier, links
from lab.world.build import World, interface_requests, write_sysctls
from lab.world.netlink import NetlinkError, Request
from lab.world.rules import Loader

_NO_SUCH_ROUTE, _NO_SUCH_ADDRESS = 3, 99  # ESRCH, EADDRNOTAVAIL: what is to go is gone already


class Rebuild:
    def __init__(self, world: World, hosts_folder: Path) -> None:
        self._world = world
        self._hosts_folder = hosts_folder
        self._loader = Loader(world.visitor)

    def become(self, plan: Plan, fresh: Collection[str] = ()) -> None:
        """The rules of `fresh` machines are loaded even if they are the same. What fails is taken back."""
        before = self._world.plan
        self._load(before, plan, fresh)
        try:
            self._become(before, plan)
        except (LabError, NetlinkError) as error:
            with contextlib.suppress(LabError, NetlinkError):
                self._load(plan, before)
                self._become(plan, before)
            raise LabError(str(error)) from None

    def _load(self, before: Plan, after: Plan, fresh: Collection[str] = ()) -> None:
        """First what may fail. Rules that stay are not loaded again: their maps would be empty."""
        loaded: list[tuple[Machine, Machine]] = []
        for old, new in zip(before.machines, after.machines, strict=True):
            if old.rules != new.rules or new.name in fresh:
                try:
                    self._replace_rules(old, new)
                except LabError:
                    for done in loaded:
                        self._replace_rules(*reversed(done))
                    raise
                loaded.append((old, new))

    def _replace_rules(self, old: Machine, new: Machine) -> None:
        net = self._world.namespaces[new.name].fd
        self._loader.replace(new.name, net, old.rules, new.rules)

    def _become(self, before: Plan, after: Plan) -> None:
        pairs = list(zip(before.machines, after.machines, strict=True))
        moved = [
            (old, new)
            for old, new in zip(before.wires, after.wires, strict=True)
            if old.b != new.b and new.b not in self._world.indexes
        ]
        for old_wire, new_wire in moved:
            self._move(after, old_wire, new_wire)
        for old, new in pairs:
            self._readdress(old, new)
            self._switch(old, new)
            self._rename(old, new)
        for _, wire in moved:
            carrier.wait(self._world, wire.a, running=True)
        self._world.plan = after

    def _move(self, after: Plan, old: Wire, new: Wire) -> None:
        """The far end goes over to the other machine; the near one sees its carrier go and come."""
        world, (machine, name) = self._world, new.b
        there = world.namespaces[machine]
        index = 1 + max(n for (owner, _), n in world.indexes.items() if owner == machine)
        lower = links.link(*old.b, world.indexes[old.b], up=False)
        world.namespaces[old.b[0]].rtnetlink.send([lower])
        carrier.wait(world, old.a, running=False)
        world.namespaces[old.b[0]].rtnetlink.send(
            [links.move(*old.b, world.indexes[old.b], machine, there.fd, index)]
        )
        del world.indexes[old.b]
        world.indexes[new.b] = index
        world.unplugged.discard(new.name)
        interface = next(i for i in after.machine(machine).interfaces if i.name == name)
        there.rtnetlink.send(list(interface_requests(world, machine, interface, new.quality.mtu)))

    def _readdress(self, old: Machine, new: Machine) -> None:
        namespace = self._world.namespaces[new.name]
        for request in self._removals(old, new):
            try:
                namespace.rtnetlink.send([request])
            except NetlinkError as error:
                if error.code not in (_NO_SUCH_ROUTE, _NO_SUCH_ADDRESS):
                    raise
        if requests := list(self._additions(old, new)):
            namespace.rtnetlink.send(requests)

    def _removals(self, old: Machine, new: Machine) -> Iterator[Request]:
        kept = {(route.to, route.metric) for route in new.routes}
        for route in old.routes:
            index = self._world.indexes.get((old.name, route.dev))
            if (route.to, route.metric) not in kept and index is not None:
                yield links.without_route(old.name, route, index)
        for name, (before, after) in _addresses(old, new).items():
            index = self._world.indexes[new.name, name]
            for text in before:
                if text not in after:
                    yield links.without_address(new.name, name, index, text)

    def _additions(self, old: Machine, new: Machine) -> Iterator[Request]:
        changed = {
            name for name, (before, after) in _addresses(old, new).items() if before != after
        }
        for name, (_, after) in _addresses(old, new).items():
            if name in changed:  # with the last address of an interface its routes went too
                index = self._world.indexes[new.name, name]
                yield from (links.address(new.name, name, index, text) for text in after)
        for route in new.routes:
            if route.dev in changed or route not in old.routes:
                yield links.route(new.name, route, self._world.indexes[new.name, route.dev])

    def _switch(self, old: Machine, new: Machine) -> None:
        if wanted := [each for each in new.sysctls if each not in old.sysctls]:
            net = self._world.namespaces[new.name].fd
            self._world.visitor.inside(net, partial(write_sysctls, new.name, wanted))

    def _rename(self, old: Machine, new: Machine) -> None:
        """In place, since the file covers the machine's own."""
        file = self._hosts_folder / new.name / "hosts"
        if old.hosts != new.hosts and file.exists():
            try:
                file.write_text("".join(f"{address}\t{name}\n" for address, name in new.hosts))
            except OSError as error:
                raise LabError(f"{new.name}: its hosts file: {error.strerror}") from None


def _addresses(old: Machine, new: Machine) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    """Before and after, of the interfaces that stay."""
    before = {each.name: each.addresses for each in old.interfaces}
    return {
        each.name: (before[each.name], each.addresses)
        for each in new.interfaces
        if each.name in before
    }
