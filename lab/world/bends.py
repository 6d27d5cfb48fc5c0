"""Where each quality of a link is made: which machine and which interface does what. Pure.

A direction has a sending and a receiving interface. On its way a packet meets, in this order:

    copies      as it leaves, before anything is counted          nf_tables, netdev egress
    the rate    the queue of the sending interface                tbf
    losses      as it arrives, before any bridge or conntrack     nf_tables, netdev ingress
    black hole  there too: of ICMP nothing but its errors is lost nf_tables, netdev ingress
    the wait    in PREROUTING, before conntrack                   NFQUEUE and the delay line

With netem in the kernel the wait is spent in the queue of the sending interface instead. Losses in bursts
always belong to the delay line, for they need a memory.

A packet that arrives at a port of a bridge is not in PREROUTING until it reaches an interface with
addresses: the bridge itself, or the far end of another port. So the wait stands at each of these, for packets
with the sender's Ethernet address. What comes down from the internet waits where it leaves that, for it knows
no conntrack: then who receives it, or captures it there, sees the time that it really came.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from lab.model.link import CLEAN, LinkQuality, Shape
from lab.model.plan import Plan
from lab.world.qdisc import NOTHING, Egress, egress

End: TypeAlias = tuple[str, str]  # machine, interface


@dataclass(frozen=True, slots=True)
class Wait:
    device: str
    number: int  # of the queue: the same for a direction wherever it waits
    shape: Shape
    sender: End | None = None  # whose packets; None: everybody's
    leaves: bool = False  # by the device; else it came by it


@dataclass(slots=True)
class Bends:
    """Of one machine; by its interfaces."""

    copies: dict[str, float] = field(default_factory=dict)
    queues: dict[str, Egress] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    black_holes: set[str] = field(default_factory=set)  # of ICMP errors
    waits: list[Wait] = field(default_factory=list)
    singles: set[str] = field(default_factory=set)  # no super-packets: each is lost by itself

    @property
    def rules(self) -> object:
        """What has to be equal for the rules to be equal: how long a wait is, is not in them."""
        waits = [replace(wait, shape=CLEAN) for wait in self.waits]
        return self.copies, self.losses, self.black_holes, waits


def bends_of(plan: Plan, qualities: Mapping[str, LinkQuality], netem: bool) -> dict[str, Bends]:
    found: dict[str, Bends] = {}
    for place, wire in enumerate(plan.wires):
        quality = qualities[wire.name]
        for shape, number, sender, receiver in (
            (quality.up, 2 * place, wire.a, wire.b),
            (quality.down, 2 * place + 1, wire.b, wire.a),
        ):
            if shape != CLEAN:
                _bend(found, shape, number, sender, receiver, plan, netem)
    return found


def _bend(
    found: dict[str, Bends],
    shape: Shape,
    number: int,
    sender: End,
    receiver: End,
    plan: Plan,
    netem: bool,
) -> None:
    leaving = found.setdefault(sender[0], Bends())
    arriving = found.setdefault(receiver[0], Bends())
    if shape.duplicate:
        leaving.copies[sender[1]] = shape.duplicate
    if (queue := egress(shape, netem)) != NOTHING:
        leaving.queues[sender[1]] = queue
    if shape.loss or shape.reorder or shape.duplicate:
        leaving.singles.add(sender[1])
    if shape.loss and shape.burst <= 1:
        arriving.losses[receiver[1]] = shape.loss
    if shape.icmp == "drop":
        arriving.black_holes.add(receiver[1])
    waiting = _wait(shape, netem)
    if waiting != CLEAN:
        for machine, wait in _waits(plan, Wait("", number, waiting), sender, receiver):
            found.setdefault(machine, Bends()).waits.append(wait)


def _wait(shape: Shape, netem: bool) -> Shape:
    """The delay line's part of a shape."""
    part = replace(shape, rate=None, duplicate=0.0, icmp="pass")
    if netem:
        part = replace(part, delay=0.0, jitter=0.0, reorder=0.0)
    return part if shape.burst > 1 else replace(part, loss=0.0)


def _waits(plan: Plan, wait: Wait, sender: End, receiver: End) -> Iterator[tuple[str, Wait]]:
    machine, device = receiver
    if plan.machine(sender[0]).kind == "internet":
        yield sender[0], replace(wait, device=sender[1], leaves=True)
    elif (bridge := _master(plan, receiver)) is None:
        yield machine, replace(wait, device=device)
    else:
        of_sender = replace(wait, sender=sender)
        yield machine, replace(of_sender, device=bridge)
        for owner, other in _other_ports(plan, machine, bridge, device):
            yield owner, replace(of_sender, device=other)


def _other_ports(plan: Plan, machine: str, bridge: str, but: str) -> Iterator[End]:
    """The far ends of the wires at the other ports of a bridge."""
    interfaces = plan.machine(machine).interfaces
    ports = {(machine, each.name) for each in interfaces if each.master == bridge} - {
        (machine, but)
    }
    for wire in plan.wires:
        if wire.b in ports:
            yield wire.a
        elif wire.a in ports:
            yield wire.b


def _master(plan: Plan, end: End) -> str | None:
    interfaces = plan.machine(end[0]).interfaces
    return next((each.master for each in interfaces if each.name == end[1]), None)
