"""The lab of a live demo: one that is up, or one made for the while, with delays so that the move is seen."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.commands.command import say
from lab.errors import BadRequest

if TYPE_CHECKING:
    from lab.client import Lab
    from lab.model.network import Topology
    from lab.model.plan import Plan

FAR, NEAR = "30ms", "15ms"  # the demo's own: to each relay, to everybody else on the internet


@dataclass(frozen=True, slots=True)
class Stage:
    lab: Lab
    pair: tuple[str, str]  # whose path is shown
    note: str  # what is to be said of the lab


@contextmanager
def staged(
    topology: str, name: str, wanted: Mapping[str, str], pair: str, keep: bool
) -> Iterator[Stage]:
    """`topology`: one, or a lab that is up. What was made for the while is taken down, unless `keep`,
    and ends with us if we are killed."""
    from lab import client
    from lab.model.layout import plan_of

    if (name or topology) in client.Lab.running():
        lab = client.Lab.attach(name or topology)
        note = f"{lab.name} was up already, and stays up"
        yield Stage(lab, pair_of(lab.plan(), pair), note)
        return
    made, note = with_delays(topology, wanted)
    ends = pair_of(plan_of(made), pair)
    with ended_by_signals():
        lab = client.Lab.up(made, name or None, say, tied=not keep)
        try:
            yield Stage(lab, ends, note)
        finally:
            if keep:
                say(f"{lab.name} stays up; lab.down {lab.name} takes it down")
            else:
                say(f"{lab.name} is down" if lab.down() else f"{lab.name} was down")


def pair_of(plan: Plan, words: str) -> tuple[str, str]:
    """`node-a,node-b`, or the first two that have an address in the overlay."""
    known = [daemon.host for daemon in plan.daemons if daemon.settings.get("overlay")]
    named = [word.strip() for word in words.split(",")] if words else known[:2]
    for each in named:
        if each not in known:
            problem = f"{each} has no overlay address, so there is no path to it to be shown"
            raise BadRequest(problem, f"it can be: {', '.join(known)}")
    if len(named) != 2 or named[0] == named[1]:
        raise BadRequest("a demo shows the path between two nodes", "--pair node-a,node-b")
    return named[0], named[1]


def with_delays(name: str, wanted: Mapping[str, str]) -> tuple[Topology, str]:
    """The topology. If no link of it is bent, all are: without delay the move saves too little to be seen."""
    from lab.model.topology import load

    topology = load(name, wanted)
    if topology.links or not topology.relays or any(key.startswith("link.") for key in wanted):
        return topology, ""
    delays = {relay.name: FAR for relay in topology.relays}
    delays |= {each.name: NEAR for each in topology.routers if each.upstream is None}
    delays |= {each.name: NEAR for each in topology.hosts if not each.on}
    made = {f"link.{link}.delay": delay for link, delay in delays.items()}
    relays = ", ".join(relay.name for relay in topology.relays)
    note = f"delays made for the demo: {FAR} to {relays}, {NEAR} to all others, each way"
    return load(name, {**wanted, **made}), note


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Whoever ends us or closes the terminal wants the lab gone, as if by Ctrl-C."""

    def end(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = {each: signal.signal(each, end) for each in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
