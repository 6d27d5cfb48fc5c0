"""A router beside its words: what it is called, what was measured, and where the two disagree."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from lab.errors import BadRequest
from lab.judge.guests import Machines
from lab.judge.measured import Disagreement, Measured, compare
from lab.judge.probe import probe, probe6
from lab.model.network import Router
from lab.model.words6 import WORDS6


@dataclass(frozen=True, slots=True)
class Judged:
    """In one family. No `measured`, but a reason, where there was nobody to ask."""

    router: str
    called: str
    measured: Measured | None
    disagreements: tuple[Disagreement, ...] = ()
    reason: str | None = None
    family: str = "IPv4"

    def told(self) -> dict[str, Any]:
        """As JSON has it; words that were not measured are left out."""
        return {
            "router": self.router,
            "family": self.family,
            "declared": self.called,
            "measured": self.measured and _told(self.measured),
            "disagreements": [str(each) for each in self.disagreements],
            "reason": self.reason,
        }


def judge(lab: Machines, router: Router, timers: float | None = None) -> Judged:
    """`timers`: for how many seconds to watch mappings die."""
    nat = router.nat
    called = nat.preset or f"{nat.mapping} mapping, {nat.filtering} filtering"
    try:
        measured = probe(lab, router.name, timers=timers)
    except BadRequest as error:
        return Judged(router.name, called, None, reason=str(error))
    wan_addresses = max(1, len(router.addresses))
    return Judged(router.name, called, measured, tuple(compare(nat, measured, wan_addresses)))


def judge6(lab: Machines, router: Router) -> Judged:
    """Of a router that has a word for IPv6."""
    assert router.ipv6 is not None
    try:
        measured = probe6(lab, router.name)
    except BadRequest as error:
        return Judged(router.name, router.ipv6, None, reason=str(error), family="IPv6")
    found = tuple(compare(WORDS6[router.ipv6], measured))
    return Judged(router.name, router.ipv6, measured, found, family="IPv6")


def judge_all(lab: Machines, router: Router, timers: float | None = None) -> list[Judged]:
    """Each family that it carries."""
    families = [judge(lab, router, timers)] if router.ipv4 else []
    return families + ([judge6(lab, router)] if router.ipv6 else [])


def _told(measured: Measured) -> dict[str, bool | str]:
    values = {each.name: getattr(measured, each.name) for each in fields(measured)}
    return {
        word: value if isinstance(value, bool) else str(value)
        for word, value in values.items()
        if value is not None
    }
