"""The prober: what a router really does, measured from both its sides, with no daemon involved.

    measured = probe(lab, "home-a")
    compare(declared, measured)          nothing, or where they disagree

Inside are the hosts of its LAN, or guests where only routers are plugged in. Outside is the machine
right above it, with two more addresses for as long as it takes: so each router of a chain is measured
alone, and the internet has no rules.
"""

from __future__ import annotations

from ipaddress import ip_interface

from lab.errors import BadRequest
from lab.judge import experiments as ask
from lab.judge.experiments import Bench, Inside
from lab.judge.guests import LAN, Guests, Machines
from lab.judge.measured import Measured, filtering_of
from lab.judge.spares import turn, two_addresses_on
from lab.judge.stage import Stage
from lab.judge.timers import measure_timers
from lab.model.plan import Plan
from lab.model.words import Filtering, Mapping

BUSY = 10  # how much longer a packet may need than a line to each puppet and back


def probe(
    lab: Machines, router: str, patience: float = 0.4, timers: float | None = None
) -> Measured:
    """`patience`: more than a round trip takes. `timers`: for how many seconds to watch mappings."""
    plan = lab.plan()
    above, inside = above_of(plan, router), inside_of(plan, router)
    must_carry_ipv4(plan, router)
    stand_ins = [] if inside else below(plan, router)
    with (
        two_addresses_on(lab, above, turn(plan, router)) as outside,
        Guests(lab, plan, router, stand_ins) as guests,
        Stage(guests.popen) as stage,
    ):
        stage.enter([*dict.fromkeys(each.machine for each in inside), above])
        inside += guests.come(stage)
        return measure(_bench(stage, above, outside, inside, patience), timers)


def probe6(lab: Machines, router: str, patience: float = 0.4) -> Measured:
    """What it does with IPv6: translating, filtering, hairpin. Hosts in its LAN only, no guests."""
    plan = lab.plan()
    above, inside = above_of(plan, router), inside_of(plan, router, 6)
    if not inside:
        raise BadRequest(f"no host behind {router} has IPv6, so nobody would meet what it does")
    with (
        two_addresses_on(lab, above, turn(plan, router), 6) as outside,
        Stage(lab.popen) as stage,
    ):
        stage.enter([*dict.fromkeys(each.machine for each in inside), above])
        return measure6(_bench(stage, above, outside, inside, patience))


def _bench(
    stage: Stage, above: str, outside: tuple[str, str], inside: list[Inside], patience: float
) -> Bench:
    a, b, c, d = stage.open_all([(above, address, 0) for address in outside for _ in "12"])
    patience = max(patience, BUSY * stage.settle())
    return Bench(stage, inside, ((a, b), (c, d)), patience)


def measure(bench: Bench, timers: float | None = None) -> Measured:
    """All questions, and the answers in words."""
    if not ask.passes_udp(bench):
        return Measured(udp=False)
    mapping, filtering, kept_port = _both_ways(bench)
    ports, addresses = ask.ports(bench)
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
        timeout_unanswered=times.unanswered if times else None,
        lifetime=times.lifetime if times else None,
    )


def measure6(bench: Bench) -> Measured:
    """The words of `lab.model.words6`."""
    if not ask.passes_udp(bench):
        return Measured(udp=False)
    mapping, filtering, _ = _both_ways(bench)
    hairpin = None if mapping == "none" else ask.hairpins(bench)
    return Measured(udp=True, mapping=mapping, filtering=filtering, hairpin=hairpin)


def _both_ways(bench: Bench) -> tuple[Mapping, Filtering, bool]:
    """And whether what came in too early left the port to the inside."""
    mapping = ask.mapping(bench)
    filtering = filtering_of(*ask.admits(bench))
    came_in, kept_port = ask.before_the_first(bench)
    if came_in:
        filtering = "none"
        mapping = "one-to-one" if mapping == "endpoint-independent" else mapping
    return mapping, filtering, kept_port


def above_of(plan: Plan, router: str) -> str:
    wire = next((wire for wire in plan.wires if wire.a[0] == router), None)
    if wire is None or plan.machine(router).kind != "router":
        raise BadRequest(f"{router} is no router")
    return wire.b[0]


def must_carry_ipv4(plan: Plan, router: str) -> None:
    lan = next(each for each in plan.machine(router).interfaces if each.name == LAN)
    if all(":" in address for address in lan.addresses):
        raise BadRequest(f"{router} carries no IPv4, and the words are about that")


def inside_of(plan: Plan, router: str, version: int = 4) -> list[Inside]:
    """The hosts in its LAN; each by the address of the uplink that is plugged in there."""
    found = []
    for wire in plan.wires:
        machine, interface = wire.a
        if wire.b[0] == router and plan.machine(machine).kind == "host":
            ports = plan.machine(machine).interfaces
            port = next(each for each in ports if each.name == interface)
            addresses = [ip_interface(each).ip for each in port.addresses]
            own = [each for each in addresses if each.version == version and not each.is_link_local]
            found += [Inside(machine, str(each), interface) for each in own[:1]]
    return found


def below(plan: Plan, router: str) -> list[str]:
    """Whatever is plugged in there."""
    found = [wire.a[0] for wire in plan.wires if wire.b[0] == router]
    if not found:
        raise BadRequest(f"nothing is behind {router}, so nobody would meet what it does")
    return found
