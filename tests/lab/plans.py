"""Small plans, written by hand: what the world is given without any topology."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lab.model.plan import DaemonPlan, Interface, Machine, Plan, Route, Ruleset, Wire

A, B = "node-a", "node-b"
A_ADDRESS, B_ADDRESS, MIDDLE = "10.0.1.2", "10.0.2.2", "10.0.0.1"


def two_hosts(
    *daemons: DaemonPlan,
    topology: str = "two",
    rules: tuple[Ruleset, ...] = (),
    routes: tuple[Route, ...] = (),
    sysctls: tuple[tuple[str, str], ...] = (),
) -> Plan:
    """node-a -- middle -- node-b: each host has its own wire to one router."""
    names = ((A_ADDRESS, A), (B_ADDRESS, B))
    middle = Machine(
        "middle",
        "router",
        (Interface("lo", (f"{MIDDLE}/32",)), Interface(A), Interface(B)),
        (Route(f"{A_ADDRESS}/32", A), Route(f"{B_ADDRESS}/32", B)),
        rules,
        (("net.ipv4.ip_forward", "1"), *sysctls),
    )
    hosts = tuple(
        Machine(
            name,
            "host",
            (Interface("eth0", (f"{address}/32",)),),
            (Route("default", "eth0", via=MIDDLE, onlink=True), *routes),
            hosts=names,
        )
        for address, name in names
    )
    wires = tuple(Wire(name, (name, "eth0"), ("middle", name)) for _, name in names)
    underlay = {name: address for address, name in names}
    return Plan(topology, "two hosts", "", (middle, *hosts), wires, daemons, underlay)


def shell(host: str, script: str, ready: str | None = "ready", **settings: Any) -> DaemonPlan:
    """A daemon that is a shell script."""
    settings["argv"] = ["sh", "-c", script]
    if ready is not None:
        settings["ready"] = ready
    return DaemonPlan(host, "command", settings)


def lasting(host: str) -> DaemonPlan:
    """A daemon that is ready, and stays until it is told to go."""
    return shell(host, 'echo \'{"event": "ready"}\'; exec sleep 1000')


PING: Sequence[str] = ("ping", "-n", "-c1", "-W1")
