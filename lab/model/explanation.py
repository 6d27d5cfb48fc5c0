"""The answer to "why is it relayed?", as values. For people `lab.view.explained` writes it down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# cause: enough by itself to keep the path from being direct. evidence: what was counted or told.
Weight = Literal["cause", "evidence", "note"]


@dataclass(frozen=True, slots=True)
class Remedy:
    sentence: str  # "home-b filters by address only"
    command: str = ""  # what does it here; without the program's name


@dataclass(frozen=True, slots=True)
class Finding:
    weight: Weight
    about: str  # a machine, a link, or two machines
    sentence: str
    evidence: tuple[str, ...] = ()  # each with where it was seen
    remedy: Remedy | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    path: str  # direct, peer-relay, relay, none
    rule: str  # as lab.model.verdict names them; "" where those rules are not about this pair
    reason: str


@dataclass(frozen=True, slots=True)
class Hop:
    """One machine on the way from the one host to the other."""

    machine: str
    kind: Literal["host", "router", "internet"]
    addresses: tuple[str, ...]
    words: tuple[str, ...]  # what it runs or how it maps and filters; what it advertises


@dataclass(frozen=True, slots=True)
class PathTold:
    kind: str
    via: str | None
    seconds: float | None  # it has been so
    from_there: str  # the kind that the other end tells
    seen: str = ""  # where it was seen, if the daemon has told nothing


@dataclass(frozen=True, slots=True)
class Explanation:
    lab: str
    a: str
    b: str
    path: PathTold
    expected: Expected
    agrees: bool | None  # None: there is no path yet that could
    hops: tuple[Hop, ...]
    findings: tuple[Finding, ...]
    remedies: tuple[Remedy, ...]
