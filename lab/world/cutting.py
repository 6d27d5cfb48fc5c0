"""Flows between two machines that are cut: dropped where `lab.model.cuts` says, each packet counted.

A cut is a table of its own in each machine where it is made, on the wire itself: before any bridge, conntrack
or NAT, so flows that are open already feel it as new ones do.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_network
from typing import Any

from lab.errors import BadRequest, LabError
from lab.model.cuts import Barrier, barriers
from lab.world import counters
from lab.world import netfilter as nf
from lab.world.build import World
from lab.world.control import Answer, Handler
from lab.world.netlink import NetlinkError
from lab.world.record import Record

_FIRST = -500  # among what is on the wire: before losses are drawn
_HOOKS = {"ingress": nf.INGRESS, "egress": nf.EGRESS}


@dataclass(slots=True)
class Cut:
    a: str
    b: str
    one_way: bool
    reset: bool
    barriers: tuple[Barrier, ...] = ()
    dropped: int = 0  # by barriers that are gone

    @property
    def table(self) -> str:
        return f"cut-{self.a}-{self.b}"

    @property
    def machines(self) -> list[str]:
        return list(dict.fromkeys(barrier.machine for barrier in self.barriers))


@dataclass(slots=True)
class Cutting:
    _world: World
    _record: Record
    _cuts: dict[frozenset[str], Cut] = field(default_factory=dict)

    def handlers(self) -> dict[str, Handler]:
        return {"cut": self._cut, "restore": self._restore, "cuts": self._all}

    @contextlib.contextmanager
    def taken_off(self) -> Iterator[None]:
        """While cables move. Afterwards each cut is where it has to be then."""
        for cut in self._cuts.values():
            self._take_off(cut)
        try:
            yield
        finally:
            for cut in self._cuts.values():
                cut.barriers = self._barriers(cut)
                self._put_on(cut)

    def _cut(self, question: Mapping[str, Any]) -> Answer:
        a, b = self._pair(question)
        pair = frozenset((a, b))
        if len(pair) == 1:
            raise BadRequest(f"{a} is one machine: a cut is between two")
        cut = Cut(a, b, bool(question["one_way"]), bool(question["reset"]))
        cut.barriers = self._barriers(cut)
        if not cut.barriers:
            raise BadRequest(f"nothing leads from {a} to {b}: there is nothing to cut")
        if (before := self._cuts.pop(pair, None)) is not None:
            self._take_off(before)
            cut.dropped = before.dropped
        self._put_on(cut)
        self._cuts[pair] = cut
        described = self._described(cut)
        fields = {"peer": b, "one_way": cut.one_way, "reset": cut.reset}
        self._record.add(a, "cut", **fields, where=described["where"])
        return Answer(described)

    def _restore(self, question: Mapping[str, Any]) -> Answer:
        a, b = self._pair(question)
        cut = self._cuts.get(frozenset((a, b)))
        if cut is None:
            there = "; ".join(f"{each.a} {each.b}" for each in self._cuts.values())
            raise BadRequest(f"{a} and {b} are not cut", f"cut: {there or 'nothing'}")
        self._take_off(cut)
        del self._cuts[frozenset((a, b))]
        self._record.add(cut.a, "restore", peer=cut.b, dropped=cut.dropped)
        return Answer(self._described(cut))

    def _all(self, _: Mapping[str, Any]) -> Answer:
        return Answer({"cuts": [self._described(cut) for cut in self._cuts.values()]})

    def _pair(self, question: Mapping[str, Any]) -> tuple[str, str]:
        machine = self._world.plan.machine
        return machine(question["a"]).name, machine(question["b"]).name

    def _barriers(self, cut: Cut) -> tuple[Barrier, ...]:
        there = barriers(self._world.plan, cut.a, cut.b)
        return there if cut.one_way else there + barriers(self._world.plan, cut.b, cut.a)

    def _put_on(self, cut: Cut) -> None:
        done: list[str] = []
        try:
            for machine in cut.machines:
                self._replace(machine, [], [_table(cut, machine)])
                done.append(machine)
        except LabError:
            for machine in done:
                self._replace(machine, [_table(cut, machine)], [])
            raise

    def _take_off(self, cut: Cut) -> None:
        cut.dropped = self._dropped(cut)
        for machine in cut.machines:
            self._replace(machine, [_table(cut, machine)], [])
        cut.barriers = ()

    def _replace(self, machine: str, before: list[nf.Table], after: list[nf.Table]) -> None:
        net, does = self._world.namespaces[machine].fd, f"{machine}: the rules of a cut"
        try:
            self._world.visitor.inside(net, partial(nf.replace, before, after, does))
        except NetlinkError as error:
            raise LabError(str(error)) from None

    def _dropped(self, cut: Cut) -> int:
        return cut.dropped + sum(
            self._world.visitor.inside(
                self._world.namespaces[machine].fd, partial(counters.packets, nf.NETDEV, cut.table)
            )
            for machine in cut.machines
        )

    def _described(self, cut: Cut) -> dict[str, Any]:
        return {
            "a": cut.a,
            "b": cut.b,
            "one_way": cut.one_way,
            "reset": cut.reset,
            "where": [_words(barrier) for barrier in cut.barriers],
            "also": sorted({name for barrier in cut.barriers for name in barrier.also}),
            "dropped": self._dropped(cut),
        }


def _table(cut: Cut, machine: str) -> nf.Table:
    chains: dict[tuple[str, str], list[nf.Rule]] = defaultdict(list)
    for barrier in cut.barriers:
        if barrier.machine == machine:
            chains[barrier.side, barrier.device] += _rules(barrier, cut.reset)
    return nf.Table(
        nf.NETDEV,
        cut.table,
        tuple(
            nf.Chain(f"{side}-{device}", _HOOKS[side], _FIRST, tuple(rules), device)
            for (side, device), rules in chains.items()
        ),
    )


def _rules(barrier: Barrier, reset: bool) -> Iterator[nf.Rule]:
    for text in barrier.addresses:
        network = ip_network(text)
        match = nf.is_to(network) if barrier.side == "ingress" else nf.is_from(network)
        # The kernel can answer only where a packet comes in; its answer may leave where others are dropped.
        if reset and barrier.side == "ingress":
            yield match, nf.is_tcp(), nf.count(), nf.reset()
        elif reset:
            yield match, nf.is_tcp_reset(), nf.accept()
        yield match, nf.count(), nf.drop()


def _words(barrier: Barrier) -> str:
    direction = "to" if barrier.side == "ingress" else "from"
    addresses = ", ".join(barrier.addresses)
    return f"{barrier.machine}/{barrier.device}, {barrier.side}: {direction} {addresses}"
