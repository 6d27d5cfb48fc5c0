"""All that is known of a pair at one moment, as values: whoever explains it needs no lab. Pure.

*a* asks about its path to *b*. What was not asked for, or was not there to be asked, is empty or None.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.judge.judged import Judged
from lab.model.network import Router, Topology
from lab.model.plan import Plan, Wire

Json = Mapping[str, Any]
NODE = "node"
PLAIN_WIREGUARD = "wireguard-go"
NOT_OURS = "by a rule that is not the lab's"  # the words of a rule that has none


@dataclass(frozen=True, slots=True)
class PathNow:
    """As its own end tells it."""

    kind: str = "none"  # direct, relay, peer-relay, none
    via: str | None = None
    since: float | None = None  # seconds, CLOCK_MONOTONIC
    why: str | None = None
    seen: str = ""  # where, if its own end has told nothing


@dataclass(frozen=True, slots=True)
class DaemonNow:
    runs: str
    state: str  # starting, ready, frozen, exited


@dataclass(frozen=True, slots=True)
class Flow:
    """One that a router's conntrack remembers. Endpoints as text; packets, 0 if none were counted."""

    protocol: str  # udp, tcp
    source: str
    to: str
    outside: str  # what the router shows the source as
    sent: int = 0
    answered: int = 0
    is_answered: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """What one rule of a router has dropped, whoever sent it."""

    words: str
    packets: int
    rule: str


@dataclass(frozen=True, slots=True)
class Pinged:
    """What a node tells of one endpoint of its peer."""

    endpoint: str
    sent: int
    pongs: int
    received: int
    last: float | None = None  # seconds ago
    last_pong: float | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    lab: str
    a: str
    b: str
    now: float  # seconds, CLOCK_MONOTONIC
    topology: Topology
    plan: Plan
    paths: Mapping[str, PathNow] = field(default_factory=dict)  # by the end that tells it
    daemons: Mapping[str, DaemonNow] = field(default_factory=dict)  # by machine
    endpoints: Mapping[str, Sequence[str]] = field(default_factory=dict)  # advertised, by host
    links: Sequence[Json] = ()
    cuts: Sequence[Json] = ()
    flows: Mapping[str, Sequence[Flow]] = field(default_factory=dict)  # by router
    drops: Mapping[str, Sequence[Drop]] = field(default_factory=dict)  # by router
    pings: Mapping[str, Sequence[Pinged]] = field(default_factory=dict)  # by the end that told
    uncounted: Mapping[str, str] = field(
        default_factory=dict
    )  # by router: why nobody could be asked
    measured: Mapping[str, Judged] = field(default_factory=dict)  # by router, on request

    @property
    def ends(self) -> tuple[str, str]:
        return self.a, self.b

    def other(self, end: str) -> str:
        return self.b if end == self.a else self.a

    def runs(self, machine: str) -> str | None:
        daemon = self.daemons.get(machine)
        return daemon.runs if daemon else None

    @property
    def are_nodes(self) -> bool:
        """Both speak disco; a host without a daemon does not count as somebody else's."""
        return {self.runs(end) for end in self.ends} <= {NODE, None}

    def way(self, end: str) -> list[Router]:
        """Its routers, the innermost first: those of its first uplink, its default route."""
        uplinks = self.topology.host(end).on
        return self.topology.way_up(uplinks[0]) if uplinks else []

    def wires(self, end: str) -> Iterator[Wire]:
        """From the end up to the internet."""
        for machine in (end, *(router.name for router in self.way(end))):
            yield next(wire for wire in self.plan.wires if wire.a[0] == machine)

    def address(self, machine: str) -> str:
        return self.plan.underlay[machine]

    def addresses(self, machine: str) -> list[str]:
        interfaces = self.plan.machine(machine).interfaces
        return [text.partition("/")[0] for each in interfaces for text in each.addresses]
