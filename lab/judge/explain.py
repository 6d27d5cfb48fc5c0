"""Why a pair's path is what it is: from all that is known of it at one moment to an answer. Pure.

What counts for most comes first: what stands in the way just now, then the routers' words, then what was
counted. A path that is direct has nothing in its way, so there nobody is blamed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lab.judge.counted import answered, unanswered
from lab.judge.expected import expected_of
from lab.judge.obstacles import obstacles
from lab.judge.remedies import remedies
from lab.judge.situation import NODE, PathNow, Situation
from lab.judge.words import mapping_in_words
from lab.model.explanation import Expected, Explanation, Finding, Hop, PathTold, Remedy
from lab.model.live import nat_words
from lab.model.network import INTERNET, Router


def explain(now: Situation) -> Explanation:
    expected = expected_of(now)
    path = now.paths.get(now.a, PathNow())
    findings = tuple(_findings(now, path, expected))
    return Explanation(
        lab=now.lab,
        a=now.a,
        b=now.b,
        path=_told(now, path),
        expected=expected,
        agrees=None if path.kind == "none" != expected.path else path.kind == expected.path,
        hops=tuple(hops(now)),
        findings=findings,
        remedies=() if path.kind == "direct" else tuple(_remedies(now, findings)),
    )


def _told(now: Situation, path: PathNow) -> PathTold:
    seconds = None if path.since is None else max(0.0, now.now - path.since)
    there = now.paths.get(now.b, PathNow()).kind
    return PathTold(path.kind, path.via, seconds, there)


# --- why


def _findings(now: Situation, path: PathNow, expected: Expected) -> Iterator[Finding]:
    if path.kind == "direct":
        yield from _why_direct(now, expected)
        return
    found = list(obstacles(now))
    yield from (each for each in found if each.weight == "cause")
    if expected.path != "direct":
        yield Finding("cause", f"{now.a} {now.b}", expected.reason)
    yield from unanswered(now)
    yield from (each for each in found if each.weight != "cause")
    if expected.path == "direct" and not any(each.weight == "cause" for each in found):
        yield from _not_yet(now, path)


def _why_direct(now: Situation, expected: Expected) -> Iterator[Finding]:
    flows = tuple(line for end in now.ends for line in answered(now, end))
    if expected.path == "direct":
        yield Finding("note", f"{now.a} {now.b}", expected.reason, flows)
    for each in obstacles(now):  # that has not been noticed yet, or does not matter to it
        if each.weight == "cause":
            yield replace(each, weight="note", remedy=None)
    there = now.paths.get(now.b, PathNow()).kind
    if there != "direct":
        sentence = f"{now.b} tells of its own path to {now.a}: {there}; each side has its own"
        yield Finding("note", now.b, sentence)


def _not_yet(now: Situation, path: PathNow) -> Iterator[Finding]:
    if path.kind == "none":
        sentence = (
            f"nothing has passed between {now.a} and {now.b} yet, so nobody has looked for a path"
        )
        command = f"lab.ping {now.lab} {now.a} {now.b} --until-direct"
        yield Finding("note", now.a, sentence, remedy=Remedy("somebody sends something", command))
    else:
        sentence = "nothing that the lab knows of stands in the way"
        command = f"lab.probe {now.lab}"
        remedy = Remedy("the routers are what they are called: that can be measured", command)
        yield Finding("note", f"{now.a} {now.b}", sentence, remedy=remedy)


def _remedies(now: Situation, findings: tuple[Finding, ...]) -> Iterator[Remedy]:
    yield from (each.remedy for each in findings if each.remedy is not None)
    if {now.runs(end) for end in now.ends} <= {NODE}:
        yield from remedies(now.topology, now.lab, now.a, now.b)


# --- the way


def hops(now: Situation) -> Iterator[Hop]:
    """From the one host to the other; a router that is on both ways is where they meet."""
    here, there = now.way(now.a), now.way(now.b)
    common = [router for router in here if router in there]
    yield _host(now, now.a)
    yield from (_router(now, each) for each in here if each not in common)
    yield _router(now, common[0]) if common else Hop(INTERNET, "internet", (), ())
    yield from (_router(now, each) for each in reversed(there) if each not in common)
    yield _host(now, now.b)


def _host(now: Situation, name: str) -> Hop:
    daemon = now.daemons.get(name)
    runs = f"{daemon.runs} {daemon.state}" if daemon else "no daemon"
    told = now.endpoints.get(name, ())
    advertises = (f"advertises {', '.join(told)}",) if told else ()
    return Hop(name, "host", (now.address(name),), (runs, *advertises))


def _router(now: Situation, router: Router) -> Hop:
    plan = now.plan.machine(router.name)
    wan = tuple(each.partition("/")[0] for each in plan.interfaces[0].addresses)
    words = [nat_words(now.topology, router.name)] if router.ipv4 else []
    words += [mapping_in_words(router.nat)] if router.ipv4 else []
    words += [f"IPv6: {router.ipv6}"] if router.ipv6 else []
    words += [f"maps ports on request: {', '.join(router.port_mapping)}"] * bool(
        router.port_mapping
    )
    addresses = tuple(each for each in wan if not each.startswith("fe80:"))
    return Hop(router.name, "router", addresses, tuple(words))
