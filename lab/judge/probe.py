"""The prober: what a router really does, measured from both its sides, with no daemon involved.

    measured = probe(lab, "home-a")
    compare(declared, measured)          nothing, or where they disagree

Inside are the hosts of its LAN. Outside is the machine right above it, with two more addresses for as
long as it takes: so each router of a chain is measured alone, and the internet has no rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Interface, IPv4Network
from typing import TYPE_CHECKING, Any, Protocol

from lab.errors import BadRequest, LabError
from lab.judge import experiments as ask
from lab.judge.experiments import Bench, Inside
from lab.judge.measured import Measured, filtering_of
from lab.judge.stage import Stage
from lab.judge.timers import measure_timers

if TYPE_CHECKING:
    import subprocess

    from lab.model.plan import Plan

# Addresses that no lab gives to anybody (RFC 6890: kept for protocols), so they clash with none; more
# than two, so that several routers can be measured at once.
SPARE_ADDRESSES = tuple(str(each) for each in IPv4Network("192.0.0.128/25").hosts())
TAKEN = ("File exists", "already assigned")  # as kernels before and since 6.2 say it


class Machines(Protocol):
    """What the prober needs of a lab: its plan, and to run things in its machines."""

    def plan(self) -> Plan: ...
    def popen(self, host: str, argv: Sequence[str], **kw: Any) -> subprocess.Popen[Any]: ...
    def run(self, host: str, argv: Sequence[str]) -> subprocess.CompletedProcess[str]: ...


def probe(
    lab: Machines, router: str, patience: float = 0.4, timers: float | None = None
) -> Measured:
    """`patience`: more than a round trip takes. `timers`: for how many seconds to watch mappings."""
    plan = lab.plan()
    above, inside = above_of(plan, router), inside_of(plan, router)
    with two_addresses_on(lab, above) as outside, Stage(lab.popen) as stage:
        stage.enter([*dict.fromkeys(each.machine for each in inside), above])
        a, b, c, d = stage.open_all([(above, address, 0) for address in outside for _ in "12"])
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
            found += [Inside(machine, str(IPv4Interface(each).ip)) for each in ipv4[:1]]
    if not found:
        raise BadRequest(f"{router} has no host with IPv4 in its LAN to measure from")
    return found


@contextmanager
def two_addresses_on(lab: Machines, machine: str) -> Iterator[list[str]]:
    """Two more addresses for a machine, on lo, for a while."""
    taken: list[str] = []
    try:
        for address in SPARE_ADDRESSES:
            if len(taken) < 2 and _on_lo(lab, machine, "add", address):
                taken.append(address)
        yield taken
    finally:
        for address in taken:
            _on_lo(lab, machine, "del", address)


def _on_lo(lab: Machines, machine: str, verb: str, address: str) -> bool:
    """False if somebody has it already: another prober."""
    done = lab.run(machine, ["ip", "address", verb, f"{address}/32", "dev", "lo"])
    if done.returncode and not any(words in done.stderr for words in TAKEN):
        raise LabError(f"{machine}: ip address {verb} {address}: {done.stderr.strip()}")
    return not done.returncode
