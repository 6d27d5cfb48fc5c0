"""Two more addresses for the machine above a router, for as long as a measurement takes.

They are on lo, and no lab gives them to anybody: IPv4's are kept for protocols (RFC 6890), IPv6's for
documentation (RFC 9637). More than one pair, so that several routers can be measured at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network

from lab.judge.guests import Machines, command_in
from lab.model.plan import Plan

SPARE = {
    version: [str(ip_network(network)[n]) for n in range(1, 127)]
    for version, network in ((4, "192.0.0.128/25"), (6, "3fff::/121"))
}
PAIRS = {version: tuple(zip(each[::2], each[1::2], strict=True)) for version, each in SPARE.items()}
TAKEN = ("File exists", "already assigned")  # as kernels before and since 6.2 say it


def turn(plan: Plan, router: str) -> int:
    """Each router begins at another pair: what one probe adds to a carrier would hide from the
    carrier's own inside what another adds above it."""
    routers = [machine.name for machine in plan.machines if machine.kind == "router"]
    return routers.index(router) % len(PAIRS[4])


@contextmanager
def two_addresses_on(
    lab: Machines, machine: str, first: int, version: int = 4
) -> Iterator[tuple[str, str]]:
    order = PAIRS[version][first:] + PAIRS[version][:first]
    pair = next(each for each in order if _on_lo(lab, machine, "add", each))
    try:
        yield pair
    finally:
        _on_lo(lab, machine, "del", pair)


def _on_lo(lab: Machines, machine: str, verb: str, pair: tuple[str, str]) -> bool:
    """False if somebody has them already: another prober."""
    lines = " && ".join(f"ip address {verb} {each} dev lo" for each in pair)
    return command_in(lab, machine, ["sh", "-c", lines], TAKEN)
