"""The links of a lab as they are now, and the answers to whoever asks to bend one."""

from __future__ import annotations

import contextlib
import selectors
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab.errors import BadRequest, LabError
from lab.model.bending import Nonsense, bent, describe, differences, parse_change
from lab.model.errors import nearest
from lab.model.link import PERFECT, LinkQuality
from lab.model.plan import Wire
from lab.world import links
from lab.world.build import World
from lab.world.cables import Cables
from lab.world.control import Answer, Handler
from lab.world.delaying import Delaying
from lab.world.netlink import NetlinkError
from lab.world.record import LAB, Record
from lab.world.shaping import Shaping

_DEFAULT_MTU = 1500
_TOO_OFTEN = 3  # deaths of the delay line, after which it stays dead


class Impairments:
    def __init__(
        self, world: World, record: Record, selector: selectors.BaseSelector, folder: Path
    ) -> None:
        self._world = world
        self._record = record
        self._cables = Cables(world, record)
        log = folder / "logs" / "delayline.log"
        self._delaying = Delaying(world.visitor, log, selector, self._delay_line_ended)
        self._shaping = Shaping(world, self._delaying)
        self._wires = {wire.name: wire for wire in world.plan.wires}
        self._qualities = {wire.name: wire.quality for wire in world.plan.wires}
        self._deaths = 0

    def handlers(self) -> dict[str, Handler]:
        return {"link": self._link, "links": self._links}

    def apply(self) -> None:
        """What the plan says of its links. Their MTUs are there since the links are."""
        self._shaping.become(self._qualities)

    @contextlib.contextmanager
    def rewired(self, name: str) -> Iterator[None]:
        """While this wire's far end moves; afterwards it is as bent as it was, wherever it is then."""
        self._shaping.become(self._qualities | {name: PERFECT})
        try:
            yield
        finally:
            self._wires = {wire.name: wire for wire in self._world.plan.wires}
            self._shaping.become(self._qualities)
            self._set_mtu(self._wires[name], self._qualities[name].mtu)

    def _links(self, _: Mapping[str, Any]) -> Answer:
        return Answer({"links": [self._described(wire) for wire in self._world.plan.wires]})

    def _link(self, question: Mapping[str, Any]) -> Answer:
        wire = self._wire(question["link"])
        before = self._qualities[wire.name]
        try:
            change = parse_change(question["way"], question["clean"], question["values"])
            after = bent(before, change)
        except Nonsense as error:
            raise BadRequest(f"{wire.name}: {error.key}: {error.problem}", error.hint) from None
        changed = differences(before, after)
        if before != after:
            self._bend(wire, after)
        if question["plugged"] is not None:
            changed += self._plug(wire, question["plugged"])
        self._delaying.settle()
        now = self._described(wire)
        if changed:
            self._record.add(wire.a[0], "link", changed=changed, **now)
        return Answer({"changed": changed, "link": now})

    def _wire(self, name: str) -> Wire:
        if name not in self._wires:
            raise BadRequest(f"there is no link {name} in this lab", nearest(name, self._wires))
        return self._wires[name]

    def _bend(self, wire: Wire, after: LinkQuality) -> None:
        before = self._qualities
        self._qualities = before | {wire.name: after}
        try:
            self._shaping.become(self._qualities)
            self._set_mtu(wire, after.mtu)
        except LabError:
            self._qualities = before
            with contextlib.suppress(LabError):  # the first failure is the one to tell
                self._shaping.become(before)
            raise

    def _set_mtu(self, wire: Wire, mtu: int | None) -> None:
        for machine, name in (wire.a, wire.b):
            index = self._world.indexes[machine, name]
            request = links.link(machine, name, index, mtu=mtu or _DEFAULT_MTU)
            try:
                self._world.namespaces[machine].rtnetlink.send([request])
            except NetlinkError as error:
                raise LabError(str(error)) from None

    def _plug(self, wire: Wire, up: bool) -> list[str]:
        if up == (wire.name not in self._world.unplugged):
            return []
        self._cables.set_wire(wire, up)
        return ["plugged in" if up else "unplugged"]

    def _described(self, wire: Wire) -> dict[str, Any]:
        quality = self._qualities[wire.name]
        served = [] if quality.is_clean else self._shaping.backend.serves(quality)
        return {
            "link": wire.name,
            "between": [f"{machine}/{name}" for machine, name in (wire.a, wire.b)],
            "is_plugged": wire.name not in self._world.unplugged,
            "up": asdict(quality.up),
            "down": asdict(quality.down),
            "mtu": quality.mtu,
            "words": describe(quality),
            "by": served,
        }

    def _delay_line_ended(self) -> None:
        self._deaths += 1
        again = self._deaths < _TOO_OFTEN
        self._record.add(LAB, "link", problem="the delay line ended", started_again=again)
        self._shaping.forget_lines()
        if again:
            with contextlib.suppress(LabError):  # the event was told; delayed packets are lost
                self._shaping.become(self._qualities)
