"""The path of a daemon that tells nothing, from what routers on its way have seen. Pure.

Packets from the one end to an address of the other that were answered are a direct path, whoever sent them.
A router that filters nothing remembers nothing: between two hosts without any other, nobody can tell.
"""

from __future__ import annotations

from lab.judge.passages import Passage, towards
from lab.judge.situation import NODE, PathNow, Situation


def path_of(now: Situation, end: str) -> PathNow:
    """As it tells, or else as it was seen."""
    told = now.paths.get(end, PathNow())
    if told.kind != "none" or now.runs(end) == NODE:
        return told
    flow = next((each for each in towards(now, end) if each.is_answered), None)
    if flow is not None:
        return PathNow("direct", flow.to, seen=_seen(flow))
    flow = next((each for each in towards(now, now.other(end)) if each.is_answered), None)
    return told if flow is None else PathNow("direct", flow.outside, seen=_seen(flow))


def _seen(flow: Passage) -> str:
    return f"the flows of {flow.last}"


def is_counted(now: Situation) -> bool:
    """Whether any router is on their way that would have seen something."""
    return any(router.name in now.flows for end in now.ends for router in now.way(end))
