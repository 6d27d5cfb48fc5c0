"""Why a pair's path is what it is: from all that is known of it at one moment to an answer. Pure.

What counts for most comes first: what stands in the way just now, then the routers' words, then what was
counted. A path that is direct has nothing in its way, so there nobody is blamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lab.judge.behaviour import surprises
from lab.judge.counted import answered, unanswered
from lab.judge.expected import as_they_ask, expected_of
from lab.judge.hops import hops
from lab.judge.obstacles import obstacles
from lab.judge.outside import is_counted, path_of
from lab.judge.passages import towards
from lab.judge.remedies import remedies
from lab.judge.situation import PLAIN_WIREGUARD, PathNow, Situation
from lab.model.explanation import Expected, Explanation, Finding, PathTold, Remedy
from lab.model.verdict import expect


def explain(now: Situation) -> Explanation:
    expected = expected_of(now)
    path = path_of(now, now.a)
    findings = tuple(_findings(now, path, expected))
    return Explanation(
        lab=now.lab,
        a=now.a,
        b=now.b,
        path=_told(now, path),
        expected=expected,
        agrees=_agrees(now, path, expected),
        hops=tuple(hops(now)),
        findings=findings,
        remedies=() if path.kind == "direct" else tuple(_remedies(now, findings)),
    )


def _told(now: Situation, path: PathNow) -> PathTold:
    seconds = None if path.since is None else max(0.0, now.now - path.since)
    return PathTold(path.kind, path.via, seconds, path_of(now, now.b).kind, path.seen)


def _agrees(now: Situation, path: PathNow, expected: Expected) -> bool | None:
    """Of somebody else's daemon it is known whether its path is direct, and not what else it has."""
    if path.kind == "none" != expected.path:
        return None
    if now.are_nodes:
        return path.kind == expected.path
    return (path.kind == "direct") == (expected.path == "direct")


# --- why


def _findings(now: Situation, path: PathNow, expected: Expected) -> Iterator[Finding]:
    if path.kind == "direct":
        yield from _why_direct(now, expected)
        return
    found = [*obstacles(now), *surprises(now)]
    yield from (each for each in found if each.weight == "cause")
    if expected.path != "direct":
        yield from _as_expected(now, expected)
    yield from unanswered(now)
    yield from (each for each in found if each.weight != "cause")
    for router, why in now.uncounted.items():
        yield Finding("note", router, f"{router} cannot tell of its flows: {why}")
    if expected.path == "direct" and not any(each.weight == "cause" for each in found):
        yield from _not_yet(now, path)


def _as_expected(now: Situation, expected: Expected) -> Iterator[Finding]:
    pair = f"{now.a} {now.b}"
    if expected.path != "peer-relay":
        yield Finding("cause", pair, expected.reason)
        return
    alone = tuple(replace(host, peer_relay=False) for host in now.topology.hosts)
    by_themselves = expect(replace(now.topology, hosts=alone), now.a, now.b)
    yield Finding("cause", pair, by_themselves.reason)
    yield Finding("note", pair, expected.reason)


def _why_direct(now: Situation, expected: Expected) -> Iterator[Finding]:
    flows = tuple(line for end in now.ends for line in answered(now, end))
    if expected.path == "direct":
        yield Finding("note", f"{now.a} {now.b}", expected.reason, flows)
    for each in obstacles(now):  # that has not been noticed yet, or does not matter to it
        if each.weight == "cause":
            yield replace(each, weight="note", remedy=None)
    there = path_of(now, now.b).kind
    if there != "direct":
        sentence = f"{now.b} tells of its own path to {now.a}: {there}; each side has its own"
        yield Finding("note", now.b, sentence)


def _not_yet(now: Situation, path: PathNow) -> Iterator[Finding]:
    """It is to be direct and nothing is in the way."""
    pair = f"{now.a} {now.b}"
    if path.kind == "none" and not now.are_nodes and not is_counted(now):
        sentence = "no router is between them that would have counted their packets"
        yield Finding("note", pair, sentence)
    elif path.kind == "none" and not any(towards(now, end) for end in now.ends):
        sentence = (
            f"{now.a} and {now.b} have sent each other nothing yet, so nobody looks for a path"
        )
        command = f"lab.ping {now.lab} {now.a} {now.b}"
        yield Finding("note", pair, sentence, remedy=Remedy("somebody sends something", command))
    else:
        sentence = "nothing that the lab knows of stands in the way"
        command = f"lab.probe {now.lab}"
        remedy = Remedy("a router is not what it is called: that can be measured", command)
        yield Finding("note", pair, sentence, remedy=remedy)


def _remedies(now: Situation, findings: tuple[Finding, ...]) -> Iterator[Remedy]:
    yield from (each.remedy for each in findings if each.remedy is not None)
    if PLAIN_WIREGUARD not in {now.runs(end) for end in now.ends}:
        topology = as_they_ask(now)
        yield from remedies(topology, now.lab, now.a, now.b, may_ask=now.are_nodes)
