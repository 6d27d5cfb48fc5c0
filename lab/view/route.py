"""Which wires lie between two machines. A lab is a tree: every machine's uplink leads to the internet.

node-a --(node-a)-- home-a --(home-a)-- internet --(nyc)-- nyc
"""

from __future__ import annotations

from lab.model.plan import Plan, Wire


def way_up(plan: Plan, machine: str) -> list[Wire]:
    """Its main uplink and those above, the internet's last."""
    uplinks: dict[str, Wire] = {}
    for wire in plan.wires:
        uplinks.setdefault(wire.a[0], wire)
    way = []
    while (wire := uplinks.get(machine)) is not None:  # type: ignore[assignment]
        way.append(wire)
        machine = wire.b[0]
    return way


def between(plan: Plan, a: str, b: str) -> list[Wire]:
    """From a up to where the ways meet, and down to b."""
    up, down = way_up(plan, a), way_up(plan, b)
    while up and down and up[-1] == down[-1]:
        up.pop()
        down.pop()
    return [*up, *reversed(down)]


def below(plan: Plan, wire: str) -> frozenset[str]:
    """The machines that reach the internet through this wire; so the lower end is one."""
    top = next(each for each in plan.wires if each.name == wire).a[0]
    found = {top}
    while more := {w.a[0] for w in plan.wires if w.b[0] in found} - found:
        found |= more
    return frozenset(found)


def relay_addresses(plan: Plan) -> dict[str, str]:
    """Every address under which anybody knows a relay (through NAT64 too), and the relay's name."""
    relays = {
        str(daemon.settings["hostname"]): daemon.host
        for daemon in plan.daemons
        if "hostname" in daemon.settings
    }
    files = {machine.hosts for machine in plan.machines}  # the machines' hosts files are much alike
    return {address: relays[name] for file in files for address, name in file if name in relays}
