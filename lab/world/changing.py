"""Live changes of what the topology says: a router's NAT, its WAN address, the router a host is plugged into.

Each is the same topology with one more override, so it is checked as strictly as the first one was, and what
the world has to do is the difference of two plans.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.errors import BadRequest, LabError
from lab.model.plan import Machine, Plan
from lab.world import conntrack, mounts
from lab.world import netfilter as nf
from lab.world.build import World
from lab.world.control import Answer, Handler
from lab.world.cutting import Cutting
from lab.world.impairments import Impairments
from lab.world.netlink import NetlinkError
from lab.world.rebuild import Rebuild
from lab.world.record import Record
from lab.world.rules import has_legacy
from lab.world.supervisor import Supervisor

if TYPE_CHECKING:
    from lab.world.present import Present

_BEFORE_CONNTRACK = -250  # and after packets that wait for their delay
_HOLD = nf.Table(
    nf.INET,
    "punchlab-change",
    (nf.Chain("all", nf.PREROUTING, _BEFORE_CONNTRACK, ((nf.drop(),),)),),
)


@dataclass(slots=True)
class Changing:
    _world: World
    _folder: Path
    _record: Record
    _supervisor: Supervisor
    _impairments: Impairments
    _cutting: Cutting
    _rebuild: Rebuild = field(init=False)

    def __post_init__(self) -> None:
        self._rebuild = Rebuild(self._world, self._folder / "hosts")

    def handlers(self) -> dict[str, Handler]:
        return {"nat": self._nat, "move": self._move}

    def _nat(self, question: Mapping[str, Any]) -> Answer:
        router = self._world.plan.machine(question["router"])
        if router.kind != "router":
            raise BadRequest(f"{router.name} is a {router.kind}, not a router")
        profile, wan = question["profile"], question["wan"]
        if question["flush"] and not (profile or wan):  # also in a lab that has no topology
            forgotten = self._change(router.name, self._world.plan)
            return self._told(router.name, {"changed": ["flushed"], "forgotten": forgotten})
        before = self._present()
        after = before.with_router(router.name, profile, wan)
        was, now = (
            {"nat": each.nat(router.name), "wan": " ".join(_own(each.plan.machine(router.name)))}
            for each in (before, after)
        )
        changed = [f"{key}: {was[key]} -> {now[key]}" for key in was if was[key] != now[key]]
        forgotten = 0
        if changed or question["flush"]:
            with after.kept(self._folder):
                forgotten = self._change(router.name, after.plan)
        return self._told(router.name, {**now, "changed": changed, "forgotten": forgotten})

    def _change(self, router: str, plan: Plan) -> int:
        """Nothing passes meanwhile, so no flow is half by the old rules. Returns the flows forgotten."""
        net = self._world.namespaces[router].fd
        inside: Callable[..., Any] = partial(self._world.visitor.inside, net)
        try:
            inside(partial(nf.replace, [], [_HOLD], f"{router}: holding what passes"))
            try:
                self._rebuild.become(plan, fresh=(router,))
                forgotten: int = inside(conntrack.forget)
            finally:
                inside(partial(nf.replace, [_HOLD], [], f"{router}: letting go"))
        except NetlinkError as error:
            raise LabError(str(error)) from None
        if plan.machine(router).rules and has_legacy():
            mounts.show_legacy_rules()
        if router in self._supervisor.processes:  # what it had mapped went with the rules
            self._supervisor.act(router, "restart")
        return forgotten

    def _told(self, router: str, told: dict[str, Any]) -> Answer:
        if told["changed"]:
            self._record.add(router, "nat", **told)
        rules = [each.why for each in self._world.plan.machine(router).rules]
        return Answer({"router": router, **told, "rules": rules})

    def _move(self, question: Mapping[str, Any]) -> Answer:
        host = self._world.plan.machine(question["host"])
        if host.kind != "host":
            raise BadRequest(f"{host.name} is a {host.kind}: only a host's cable can be moved")
        after = self._present().with_host_on(host.name, question["router"])
        wire = next(wire for wire in after.plan.wires if wire.a[0] == host.name)
        before = next(each for each in self._world.plan.wires if each.name == wire.name)
        told = {
            "was": before.b[0],
            "now": wire.b[0],
            "had": _own(self._world.plan.machine(host.name)),
            "has": _own(after.plan.machine(host.name)),
        }
        if wire != before:
            off, rewired = self._cutting.taken_off(), self._impairments.rewired(wire.name)
            with after.kept(self._folder), off, rewired:
                self._rebuild.become(after.plan)
            self._record.add(host.name, "move", **told)
        return Answer({"host": host.name, **told})

    def _present(self) -> Present:
        from lab.world.present import (
            Present,
        )  # with all of the model, which no lab needs to come up

        return Present.read(self._folder)


def _own(machine: Machine) -> list[str]:
    """The addresses on its first interface, its uplink."""
    addresses = (each.partition("/")[0] for each in machine.interfaces[0].addresses)
    return [address for address in addresses if not address.startswith("fe80:")]
