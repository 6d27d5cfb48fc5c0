"""What a router did, in the words that a topology uses; and whether that is what it was called.

The functions here are pure: they turn what the experiments saw into words. A word that was not
measured is None, and disagrees with nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

from lab.judge.stage import Endpoint
from lab.model.words import Filtering, Mapping, Nat, Ports

# Other traffic of the router takes ports between two of ours.
LONGEST_STEP = 16
TIMES = ("timeout", "timeout_unanswered", "lifetime")  # spans, where the words have seconds


@dataclass(frozen=True, slots=True)
class Span:
    """A time known only between two moments: alive at `more_than`, dead at `less_than` (if ever)."""

    more_than: float
    less_than: float | None

    def __str__(self) -> str:
        if self.less_than is None:
            return f"over {self.more_than:.1f} s"
        return f"{self.more_than:.1f} to {self.less_than:.1f} s"

    def holds(self, seconds: float, slack: float = 0.0) -> bool:
        above = self.less_than is None or seconds - slack <= self.less_than
        return self.more_than <= seconds + slack and above


@dataclass(frozen=True, slots=True)
class Measured:
    udp: bool | None = None
    mapping: Mapping | None = None
    filtering: Filtering | None = None
    ports: Ports | None = None
    hairpin: bool | None = None
    scope: str | None = None
    pool: str | None = None
    icmp: str | None = None
    collisions: str | None = None
    unsolicited: str | None = None
    refresh: str | None = None
    timeout: Span | None = None
    timeout_unanswered: Span | None = None
    lifetime: Span | None = None


@dataclass(frozen=True, slots=True)
class Disagreement:
    word: str
    declared: str
    measured: str

    def __str__(self) -> str:
        return f"{self.word}: declared {self.declared}, measured {self.measured}"


def mapping_of(inside: Endpoint, seen: Sequence[Sequence[Endpoint]]) -> Mapping:
    """`seen[a][p]`: the external endpoint at outside address a, port p, of one inside endpoint."""
    if any(len(set(ports)) > 1 for ports in seen):
        return "address-and-port-dependent"
    if len({endpoint for ports in seen for endpoint in ports}) > 1:
        return "address-dependent"
    return "none" if seen[0][0] == inside else "endpoint-independent"


def filtering_of(other_address: bool, other_port: bool) -> Filtering:
    """Who got in, beside the endpoint that was sent to."""
    if other_address:
        return "endpoint-independent"
    return "address-dependent" if other_port else "address-and-port-dependent"


def ports_of(pairs: Sequence[tuple[int, int]]) -> Ports:
    """(inside port, external port) of one inside host's new mappings, in their order."""
    if 2 * sum(inside == outside for inside, outside in pairs) > len(pairs):
        return "preserve"  # but for those that somebody else has (RFC 4787 §4.2.1)
    steps = [after - before for (_, before), (_, after) in pairwise(pairs)]
    # One step back is where the ports begin anew.
    if sum(not 0 < step <= LONGEST_STEP for step in steps) <= 1:
        return "sequential"
    if all(inside % 2 == outside % 2 for inside, outside in pairs):
        return "parity"
    return "random"


def compare(declared: Nat, measured: Measured, wan_addresses: int = 1) -> list[Disagreement]:
    """Word by word; an empty list means that the router is what it is called."""
    if not declared.udp or measured.udp is False:
        return _differences(declared, measured, ["udp"])
    words = [each.name for each in fields(Measured) if each.name not in TIMES]
    if declared.mapping == "one-to-one" and measured.mapping == "endpoint-independent":
        words.remove("mapping")  # one inside host and preserved ports look the same
    if declared.mapping in ("none", "one-to-one"):
        for word in ("ports", "collisions", "scope", "refresh", "unsolicited"):
            words.remove(word)
    if wan_addresses == 1:
        words.remove("pool")
    return _differences(declared, measured, words) + _times(declared, measured)


def _differences(declared: Nat, measured: Measured, words: list[str]) -> list[Disagreement]:
    found = []
    for word in words:
        said, seen = getattr(declared, word), getattr(measured, word)
        if seen is not None and said != seen:
            found.append(Disagreement(word, _shown(said), _shown(seen)))
    return found


def _times(declared: Nat, measured: Measured) -> list[Disagreement]:
    found = []
    unanswered = declared.timeout_unanswered or declared.timeout
    for word, seconds in (("timeout", declared.timeout), ("timeout_unanswered", unanswered)):
        span = getattr(measured, word)
        if span and not span.holds(seconds, SLACK):
            found.append(Disagreement(word, f"{seconds} s", str(span)))
    if measured.lifetime is not None:
        forever = declared.lifetime is None and measured.lifetime.less_than is None
        if not forever and not measured.lifetime.holds(declared.lifetime or 1e9, SLACK):
            said = f"{declared.lifetime} s" if declared.lifetime else "forever"
            found.append(Disagreement("lifetime", said, str(measured.lifetime)))
    return found


SLACK = 1.0  # seconds: conntrack counts whole ones


def _shown(value: object) -> str:
    match value:
        case True:
            return "yes"
        case False:
            return "no"
        case _:
            return str(value)
