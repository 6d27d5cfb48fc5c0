"""From a plan to a private internet: namespaces, then wires, then what each machine is told.

Nothing made here has a name outside the keeper, and nothing is ever unmade: what the keeper holds ends
with the keeper. One step a kind of thing, so that a failure names its machine.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from lab.errors import BuildFailed
from lab.model.plan import Interface, Machine, Plan, Wire
from lab.world import links, tun
from lab.world.namespaces import Namespace, Visitor
from lab.world.netlink import NetlinkError, Request
from lab.world.rules import Loader

# Without br_netfilter bridges are not filtered anyway; and kernels before 5.13 let only the machine's root
# have flows counted.
_DISPENSABLE = ("net.bridge.", "net.netfilter.nf_conntrack_acct")
_PROC_SYS = Path("/proc/sys")


@dataclass(slots=True)
class World:
    """What was built: a namespace for each machine, and the index of each interface."""

    plan: Plan
    visitor: Visitor
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    indexes: dict[tuple[str, str], int] = field(default_factory=dict)
    unplugged: set[str] = field(default_factory=set)  # wires


def build(plan: Plan, visitor: Visitor, progress: Callable[[str], None]) -> World:
    """One thing after the other: two threads were tried, and gain nothing on the kernel's one lock."""
    world = World(plan, visitor)
    progress(f"{len(plan.machines)} namespaces")
    _make_namespaces(world)
    _choose_indexes(world)
    try:
        progress(f"{len(plan.wires)} wires")
        _make_links(world)
        progress("addresses and routes")
        for machine in plan.machines:
            world.namespaces[machine.name].rtnetlink.send(list(_configuration(world, machine)))
    except NetlinkError as error:
        raise BuildFailed(str(error)) from None
    _set_sysctls(world)
    _load_rules(world, progress)
    return world


def _make_namespaces(world: World) -> None:
    names = [machine.name for machine in world.plan.machines]
    try:
        made = world.visitor.new_namespaces(len(names))
    except OSError as error:
        hint = "raise user.max_net_namespaces" if error.errno == errno.ENOSPC else ""
        raise BuildFailed(f"a new network namespace: {error.strerror}", hint) from None
    world.namespaces = dict(zip(names, made, strict=True))


def _choose_indexes(world: World) -> None:
    for machine in world.plan.machines:
        world.indexes[machine.name, "lo"] = links.LOOPBACK
        others = [each.name for each in machine.interfaces if each.name != "lo"]
        for index, name in enumerate(others, start=links.LOOPBACK + 1):
            world.indexes[machine.name, name] = index


def _make_links(world: World) -> None:
    for machine in world.plan.machines:
        bridges = [each for each in machine.interfaces if each.kind == "bridge"]
        if bridges:
            world.namespaces[machine.name].rtnetlink.send(
                [
                    links.bridge(machine.name, each, world.indexes[machine.name, each.name])
                    for each in bridges
                ]
            )
    for wire in world.plan.wires:
        near, far = (*wire.a, world.indexes[wire.a]), (*wire.b, world.indexes[wire.b])
        request = links.veth(near, far, world.namespaces[wire.b[0]].fd)
        world.namespaces[wire.a[0]].rtnetlink.send([request])
    for machine in world.plan.machines:
        for each in machine.interfaces:
            if each.kind == "tun":
                make = partial(
                    tun.make, machine.name, each.name, world.indexes[machine.name, each.name]
                )
                world.visitor.inside(world.namespaces[machine.name].fd, make)


def _configuration(world: World, machine: Machine) -> Iterator[Request]:
    mtus = _mtus(world.plan.wires, machine.name)
    yield links.link(machine.name, "lo", links.LOOPBACK, up=True)
    for interface in machine.interfaces:
        yield from interface_requests(world, machine.name, interface, mtus.get(interface.name))
    for route in machine.routes:
        yield links.route(machine.name, route, world.indexes[machine.name, route.dev])


def interface_requests(
    world: World, machine: str, interface: Interface, mtu: int | None
) -> Iterator[Request]:
    index = world.indexes[machine, interface.name]
    if interface.name != "lo":
        yield links.no_link_local(machine, interface.name, index)
    yield links.link(
        machine,
        interface.name,
        index,
        up=interface.up,
        mtu=interface.mtu or mtu,
        master=world.indexes[machine, interface.master] if interface.master else None,
    )
    for text in interface.addresses:
        yield links.address(machine, interface.name, index, text)


def _mtus(wires: tuple[Wire, ...], machine: str) -> dict[str, int]:
    """An MTU of a wire holds for both its ends."""
    return {
        interface: wire.quality.mtu
        for wire in wires
        if wire.quality.mtu is not None
        for owner, interface in (wire.a, wire.b)
        if owner == machine
    }


def _set_sysctls(world: World) -> None:
    # A first write to a namespace's sysctls is dear once there are many namespaces. The keeper's own
    # namespace is as new as the others: what it was born with, they were born with.
    born_with: dict[str, str | None] = {}
    for machine in world.plan.machines:
        wanted = [
            (name, value)
            for name, value in machine.sysctls
            if born_with.setdefault(name, _read_sysctl(name)) != value
        ]
        if wanted:
            net = world.namespaces[machine.name].fd
            world.visitor.inside(net, partial(write_sysctls, machine.name, wanted))


def write_sysctls(machine: str, wanted: list[tuple[str, str]]) -> None:
    for name, value in wanted:
        try:
            _sysctl_path(name).write_text(value)
        except FileNotFoundError:
            if name.startswith(_DISPENSABLE):
                continue
            raise BuildFailed(f"{machine}: this kernel has no sysctl {name}") from None
        except OSError as error:
            raise BuildFailed(f"{machine}: sysctl {name} = {value}: {error.strerror}") from None


def _read_sysctl(name: str) -> str | None:
    try:
        return _sysctl_path(name).read_text().strip()
    except OSError:
        return None


def _sysctl_path(name: str) -> Path:
    return _PROC_SYS / name.replace(".", "/")


def _load_rules(world: World, progress: Callable[[str], None]) -> None:
    loader = Loader(world.visitor)
    routers = [machine for machine in world.plan.machines if machine.rules]
    if routers:
        progress(f"rules of {', '.join(machine.name for machine in routers)}")
    for machine in routers:
        for ruleset in machine.rules:
            loader.load(machine.name, world.namespaces[machine.name].fd, ruleset)
