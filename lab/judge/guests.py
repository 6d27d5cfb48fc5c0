"""Guests: hosts in a router's LAN for as long as a measurement takes.

A carrier's LAN has only other routers in it, and what is measured through those is theirs as well. A
guest is a process in a network namespace of its own, with a cable to the LAN's bridge. Its cable is
pulled when it has been asked; and even if nobody lives to do so, the kernel takes the namespace and the
cable away once the process has ended, so nothing can be left behind.
"""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Sequence
from ipaddress import IPv4Interface
from types import TracebackType
from typing import Any, Protocol, Self

from lab.errors import LabError
from lab.judge.experiments import Inside
from lab.judge.stage import Stage
from lab.model.plan import Plan

LAN = "lan0"
MOST = 2  # enough to collide
GONE = ("Cannot find device", "No such device")  # before, or while we ask


class Machines(Protocol):
    """What the prober needs of a lab: its plan, and to run things in its machines."""

    def plan(self) -> Plan: ...
    def popen(self, host: str | None, argv: Sequence[str], **kw: Any) -> subprocess.Popen[Any]: ...


class Guests:
    def __init__(self, lab: Machines, plan: Plan, router: str, hosts: Collection[str]) -> None:
        """As many as there are machines that they stand for, for the words depend on that."""
        self._lab, self._router = lab, router
        free = _free_addresses(plan, router) if hosts else []
        self.names = [f"guest{n}" for n in range(min(len(hosts), MOST))]
        self._addresses = dict(zip(self.names, free, strict=False))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for name in self._addresses:
            argv = ["ip", "-n", self._router, "link", "del", name]
            command_in(self._lab, None, argv, GONE)

    def popen(self, machine: str, argv: Sequence[str], **kw: Any) -> subprocess.Popen[Any]:
        if machine in self._addresses:
            return self._lab.popen(None, ["unshare", "--net", "--", *argv], **kw)
        return self._lab.popen(machine, argv, **kw)

    def come(self, stage: Stage) -> list[Inside]:
        stage.enter(self.names)
        for name, address in self._addresses.items():
            self._plug(name, address, stage.pid(name))
        return [Inside(name, str(address.ip)) for name, address in self._addresses.items()]

    def _plug(self, name: str, address: IPv4Interface, pid: int) -> None:
        gateway = address.network[1]
        lines = [
            f"ip -n {self._router} link add {name} type veth peer name eth0 netns {pid}",
            f"ip -n {self._router} link set {name} master {LAN} up",
            f"enter='nsenter --net --target {pid}'",
            f"$enter ip address add {address} dev eth0",
            "$enter ip link set eth0 up",
            f"$enter ip route add default via {gateway}",
        ]
        command_in(self._lab, None, ["sh", "-e", "-c", "\n".join(lines)])


def command_in(
    lab: Machines, machine: str | None, argv: Sequence[str], excuses: Sequence[str] = ()
) -> bool:
    """True if it worked, False if it failed with one of these words; LabError for any other."""
    pipe = subprocess.PIPE
    with lab.popen(machine, argv, stdin=subprocess.DEVNULL, stderr=pipe, text=True) as process:
        _, problem = process.communicate()
    if process.returncode and not any(excuse in problem for excuse in excuses):
        raise LabError(f"{machine or 'the lab'}: {argv[-1]}: {problem.strip()}")
    return not process.returncode


def _free_addresses(plan: Plan, router: str) -> list[IPv4Interface]:
    """From the end of the LAN, where topologies do not begin."""
    own = next(each for each in plan.machine(router).interfaces if each.name == LAN)
    lan = IPv4Interface(next(each for each in own.addresses if ":" not in each)).network
    taken = {
        address.partition("/")[0]
        for machine in plan.machines
        for interface in machine.interfaces
        for address in interface.addresses
    }
    last = (lan[-2 - n] for n in range(lan.num_addresses - 2))
    free = (f"{each}/{lan.prefixlen}" for each in last if str(each) not in taken)
    return [IPv4Interface(address) for address, _ in zip(free, range(MOST), strict=False)]
