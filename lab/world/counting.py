"""What routers have counted, for whoever asks: the packets of each flow, and those that a rule dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lab.errors import BadRequest
from lab.world.build import World
from lab.world.control import Answer, Handler
from lab.world.drops import drops, readers
from lab.world.flows import flows
from lab.world.netlink import NetlinkError


@dataclass(frozen=True, slots=True)
class Counting:
    _world: World

    def handlers(self) -> dict[str, Handler]:
        return {"counted": self._counted}

    def _counted(self, question: Mapping[str, Any]) -> Answer:
        return Answer({"routers": {name: self._router(name) for name in question["routers"]}})

    def _router(self, name: str) -> dict[str, Any]:
        world = self._world
        routers = [each.name for each in world.plan.machines if each.kind == "router"]
        if name not in routers:
            raise BadRequest(
                f"there is no router {name} in this lab", f"it has: {', '.join(routers)}"
            )
        machine = world.plan.machine(name)
        if not machine.rules:  # so nobody remembers flows there either
            return {"flows": [], "drops": []}
        inside = partial(world.visitor.inside, world.namespaces[name].fd)
        dropped = inside(partial(drops, readers(machine.rules)))
        try:
            return {"flows": inside(flows), "drops": dropped}
        except NetlinkError as error:  # a kernel that does not tell
            return {"flows": None, "drops": dropped, "problem": str(error)}
