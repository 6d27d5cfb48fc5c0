"""Two nodes that have met, and what a stream of pings between them saw."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from lab.pytest_plugin import Echoes, Net, Node, NoReply, StartLab

BACK = 15.0  # seconds until a path that can be direct again is
NOTICED = 5.0  # for a dead direct path: less than the 6.5 s for which one is trusted that nobody asks about;
# it is below 1 s where nothing else is going on, which is for the benchmarks to show
STILL = 0.7  # seconds without an answer, after which a path may be on its way to be left


def direct_pair(lab: StartLab, topology: str = "nat-pair", **how: Any) -> tuple[Net, Node, Node]:
    net = lab(topology, **how)
    a, b = net.node("node-a"), net.node("node-b")
    a.ping(b)
    for one, other in ((a, b), (b, a)):
        one.wait_for_path(other, "direct", within=BACK)
    return net, a, b


def relayed_pair(lab: StartLab) -> tuple[Net, Node, Node]:
    net = lab("hard-pair")
    a, b = net.node("node-a"), net.node("node-b")
    a.ping(b)
    a.wait_for_path(b, "relay", within=BACK)
    return net, a, b


def silence(echoes: Echoes) -> float:
    """Seconds between two echoes that were answered, at the longest."""
    answered = [sent for sent, times in zip(echoes.sent, echoes.received, strict=True) if times]
    ends = [echoes.sent[0], *answered, echoes.sent[-1]]
    return max(later - earlier for earlier, later in pairwise(ends))


def history(node: Node, other: Node, echoes: Echoes) -> list[str]:
    """The kinds of its path; only the first two, if nobody answered for so long that any path is left.

    That takes 0.85 s, and a process of a busy machine may stand still for it: the stream has seen it, too.
    """
    kinds = node.path_history(other)
    return kinds[:2] if stood_still(echoes) else kinds


def stood_still(echoes: Echoes) -> bool:
    """Whether nobody answered for so long that a path may have been left for it."""
    times = sorted(when for replies in echoes.received for when in replies)
    return any(later - earlier > STILL for earlier, later in pairwise(times))


def reaches(one: Node, other: Node, tries: int = 15) -> None:
    """Not with the first packet, perhaps: what is sent in a session that the other has forgotten is lost.

    A lost handshake is tried again after 5 s, twice within the tries.
    """
    for left in reversed(range(tries)):
        try:
            one.ping(other, patience=1)
        except NoReply:
            if not left:
                raise
        else:
            return


def lost_after(echoes: Echoes, at: float) -> int:
    return sum(
        not times for sent, times in zip(echoes.sent, echoes.received, strict=True) if sent > at
    )


def at_last(net: Net, event: str, **fields: Any) -> float:
    """When it happened, last."""
    known = [e for e in net.events(event=event) if fields.items() <= e.items()]
    at: float = known[-1]["at"]
    return at


def moved(node: Node, other: Node, since: float) -> list[str]:
    """The kinds of path from a time on."""
    return [event["kind"] for event in node.path_events(other) if event["at"] > since]


def via(node: Node, other: Node) -> str:
    """The endpoint or relay in use."""
    return str(node.path_events(other)[-1]["via"])


def until_dropped(net: Net, count: int) -> None:
    """Waits until so many packets have met the cut that there is."""
    while net.lab.cuts()[0]["dropped"] < count:
        pass
