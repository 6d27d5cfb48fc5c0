"""What routers on the way really do, beside their words: as flows show it, and as it was measured. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lab.judge.situation import Situation
from lab.model.explanation import Finding
from lab.model.network import Router


@dataclass(frozen=True, slots=True)
class Shown:
    """One inside endpoint, as how many endpoints for how many destinations a router has shown it."""

    inside: str
    outside: tuple[str, ...]
    destinations: int

    def __str__(self) -> str:
        count = len(self.outside)
        endpoints = f"{count} endpoint{'' if count == 1 else 's'}"
        return f"{self.inside} has {endpoints} for {self.destinations} destinations"


def shown(now: Situation, router: str) -> list[Shown]:
    """Of the UDP flows that it remembers and that go out; one destination alone says nothing."""
    own = now.addresses(router)
    found: dict[str, tuple[set[str], set[str]]] = {}
    for flow in now.flows.get(router, ()):
        if flow.protocol == "udp" and flow.to.rpartition(":")[0] not in own:
            outside, destinations = found.setdefault(flow.source, (set(), set()))
            outside.add(flow.outside)
            destinations.add(flow.to)
    return [
        Shown(inside, tuple(sorted(outside)), len(destinations))
        for inside, (outside, destinations) in found.items()
        if len(destinations) > 1
    ]


def in_words(now: Situation, router: Router) -> Iterator[str]:
    yield from (f"seen: {each}" for each in shown(now, router.name))
    judged = now.measured.get(router.name)
    if judged is None:
        return
    if judged.measured is None:
        yield f"not measured: {judged.reason}"
    elif judged.disagreements:
        yield f"measured, and NOT AS CALLED: {'; '.join(map(str, judged.disagreements))}"
    else:
        yield "measured: it is what it is called"


def surprises(now: Situation) -> Iterator[Finding]:
    """Where a router is not what it is called, the verdict from its words is worth nothing."""
    for router in {each.name: each for end in now.ends for each in now.way(end)}.values():
        judged = now.measured.get(router.name)
        if judged is not None and judged.disagreements:
            words = tuple(map(str, judged.disagreements))
            sentence = f"{router.name} is not what it is called"
            yield Finding("cause", router.name, sentence, words)
        elif router.nat.mapping == "endpoint-independent" and router.nat.lifetime is None:
            for each in shown(now, router.name):
                if len(each.outside) > 1:
                    sentence = f"{router.name} is called endpoint-independent, and yet {each}"
                    yield Finding("cause", router.name, sentence, each.outside)
