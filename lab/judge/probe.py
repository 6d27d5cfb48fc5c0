"""The prober: what a router really does, measured from both its sides, with no daemon involved.

    measured = probe(lab, "home-a")
    compare(declared, measured)          nothing, or where they disagree

Inside are the hosts of its LAN, or guests where only routers are plugged in. Outside is the machine
right above it, with two more addresses for as long as it takes: so each router of a chain is measured
alone, and the internet has no rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Interface, IPv4Network

from lab.errors import BadRequest
from lab.judge import experiments as ask
from lab.judge.experiments import Bench, Inside
from lab.judge.guests import LAN, Guests, Machines, command_in
from lab.judge.measured import Measured, filtering_of
from lab.judge.stage import Stage
from lab.judge.timers import measure_timers
from lab.model.plan import Plan

# Addresses that no lab gives to anybody (RFC 6890: kept for protocols), so they clash with none; more
# than two, so that several routers can be measured at once.
SPARE_ADDRESSES = [str(each) for each in IPv4Network("192.0.0.128/25").hosts()]
SPARE_PAIRS = tuple(zip(SPARE_ADDRESSES[::2], SPARE_ADDRESSES[1::2], strict=True))
BUSY = 10  # how much longer a packet may need than a line to each puppet and back
TAKEN = ("File exists", "already assigned")  # as kernels before and since 6.2 say it


def probe(
    lab: Machines, router: str, patience: float = 0.4, timers: float | None = None
) -> Measured:
    """`patience`: more than a round trip takes. `timers`: for how many seconds to watch mappings."""
    plan = lab.plan()
    above, inside = above_of(plan, router), inside_of(plan, router)
    stand_ins = [] if inside else below(plan, router)
    with (
        two_addresses_on(lab, above, _turn(plan, router)) as outside,
        Guests(lab, plan, router, stand_ins) as guests,
        Stage(guests.popen) as stage,
    ):
        stage.enter([*dict.fromkeys(each.machine for each in inside), above])
        inside += guests.come(stage)
        a, b, c, d = stage.open_all([(above, address, 0) for address in outside for _ in "12"])
        patience = max(patience, BUSY * stage.settle())
        return measure(Bench(stage, inside, ((a, b), (c, d)), patience), timers)


def measure(bench: Bench, timers: float | None = None) -> Measured:
    """All questions, and the answers in words."""
    if not ask.passes_udp(bench):
        return Measured(udp=False)
    mapping = ask.mapping(bench)
    filtering = filtering_of(*ask.admits(bench))
    ports, addresses = ask.ports(bench)
    came_in, kept_port = ask.before_the_first(bench)
    if came_in:
        filtering = "none"
        mapping = "one-to-one" if mapping == "endpoint-independent" else mapping
    moves = mapping in ("address-dependent", "address-and-port-dependent")
    scope = None
    if moves and filtering != "endpoint-independent":
        scope = "endpoint" if ask.permits_by_endpoint(bench) else "mapping"
    collisions = None
    if mapping not in ("none", "one-to-one") and len(bench.inside) > 1:
        collisions = "honest" if ask.keeps_mappings_apart(bench, mapping) else "kernel"
    times = measure_timers(bench, timers) if timers else None
    return Measured(
        udp=True,
        mapping=mapping,
        filtering=filtering,
        ports=ports,
        hairpin=None if mapping == "none" else ask.hairpins(bench),
        scope=scope,
        pool="paired" if len(addresses) == 1 else "arbitrary",
        icmp="translate" if ask.hears_icmp(bench) else "drop",
        collisions=collisions,
        unsolicited=("drop" if kept_port else "accept") if ports == "preserve" else None,
        refresh=times.refresh if times else None,
        timeout=times.timeout if times else None,
        lifetime=times.lifetime if times else None,
    )


def above_of(plan: Plan, router: str) -> str:
    wire = next((wire for wire in plan.wires if wire.a[0] == router), None)
    if wire is None or plan.machine(router).kind != "router":
        raise BadRequest(f"{router} is no router")
    lan = next(each for each in plan.machine(router).interfaces if each.name == LAN)
    if all(":" in address for address in lan.addresses):
        raise BadRequest(f"{router} carries no IPv4, and the words are about that")
    return wire.b[0]


def inside_of(plan: Plan, router: str) -> list[Inside]:
    """The hosts in its LAN; each by the address of the uplink that is plugged in there."""
    found = []
    for wire in plan.wires:
        machine, interface = wire.a
        if wire.b[0] == router and plan.machine(machine).kind == "host":
            ports = plan.machine(machine).interfaces
            port = next(each for each in ports if each.name == interface)
            ipv4 = [each for each in port.addresses if ":" not in each]
            found += [Inside(machine, str(IPv4Interface(each).ip), interface) for each in ipv4[:1]]
    return found


def below(plan: Plan, router: str) -> list[str]:
    """Whatever is plugged in there."""
    found = [wire.a[0] for wire in plan.wires if wire.b[0] == router]
    if not found:
        raise BadRequest(f"nothing is behind {router}, so nobody would meet what it does")
    return found


def _turn(plan: Plan, router: str) -> int:
    """Each router begins at another pair: what one probe adds to a carrier would hide from the
    carrier's own inside what another adds above it."""
    routers = [machine.name for machine in plan.machines if machine.kind == "router"]
    return routers.index(router) % len(SPARE_PAIRS)


@contextmanager
def two_addresses_on(lab: Machines, machine: str, first: int) -> Iterator[tuple[str, str]]:
    """Two more addresses for a machine, on lo, for a while."""
    order = SPARE_PAIRS[first:] + SPARE_PAIRS[:first]
    pair = next(each for each in order if _on_lo(lab, machine, "add", each))
    try:
        yield pair
    finally:
        _on_lo(lab, machine, "del", pair)


def _on_lo(lab: Machines, machine: str, verb: str, pair: tuple[str, str]) -> bool:
    """False if somebody has them already: another prober."""
    lines = " && ".join(f"ip address {verb} {each}/32 dev lo" for each in pair)
    return command_in(lab, machine, ["sh", "-c", lines], TAKEN)
