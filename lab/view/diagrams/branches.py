"""Who hangs below whom, and in which order: the tree that a drawing spreads out.

A host with several uplinks hangs below several routers. It is put between them, under the machine that
is above them all, and the routers' branches are put side by side: so its links cross nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.model.network import INTERNET, Topology


@dataclass(frozen=True, slots=True)
class Branch:
    name: str
    children: tuple[Branch, ...] = ()


def tree(topology: Topology) -> Branch:
    """All routers and hosts, below the internet. In the file's order wherever that crosses nothing."""
    below = _below(topology)
    shared = [host for host in topology.hosts if len(set(host.on)) > 1]
    for host in shared:
        ways = [[INTERNET, *_way_down(topology, router)] for router in host.on]
        top, heads = _fork(ways)
        below[top] = _between(
            below.setdefault(top, []), host.name, heads, [each.name for each in shared]
        )
    return _branch(INTERNET, below)


def depths(topology: Topology) -> dict[str, int]:
    """How many routers deep a router is: 1 is right below the internet."""
    return {router.name: len(topology.way_up(router.name)) for router in topology.routers}


def _below(topology: Topology) -> dict[str, list[str]]:
    """By machine: what hangs below it and below nothing else."""
    below: dict[str, list[str]] = {}
    for router in topology.routers:
        below.setdefault(router.upstream or INTERNET, []).append(router.name)
    for host in topology.hosts:
        if len(set(host.on)) < 2:
            below.setdefault(host.on[0] if host.on else INTERNET, []).append(host.name)
    return below


def _way_down(topology: Topology, router: str) -> list[str]:
    return [each.name for each in reversed(topology.way_up(router))]


def _fork(ways: Sequence[Sequence[str]]) -> tuple[str, list[str]]:
    """The last machine that all ways pass, and where each of them goes on."""
    shortest = min(map(len, ways))
    same = next((n for n in range(shortest) if len({way[n] for way in ways}) > 1), shortest)
    return ways[0][same - 1], [way[same] for way in ways if len(way) > same]


def _between(
    order: Sequence[str], host: str, heads: Sequence[str], shared: Sequence[str]
) -> list[str]:
    """`host` behind the first of the heads, and the other heads right behind it."""
    first, *others = [each for each in order if each in heads]
    rest = [each for each in order if each not in others]
    at = rest.index(first) + 1
    while at < len(rest) and rest[at] in shared:
        at += 1
    return [*rest[:at], host, *others, *rest[at:]]


def _branch(name: str, below: Mapping[str, Sequence[str]]) -> Branch:
    return Branch(name, tuple(_branch(each, below) for each in below.get(name, ())))
