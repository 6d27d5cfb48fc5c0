"""What would make a pair's path direct: the smallest changes of routers' words that turn the verdict. Pure.

Each router on either way is given one other word at a time, and the verdict is asked again. Where no
single change is enough, two at once are tried. So what is named here follows from the rules of the verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from lab.model.explanation import Remedy
from lab.model.language import check
from lab.model.live import words_text
from lab.model.network import Router, Topology
from lab.model.verdict import MOVING, STRICTNESS, expect
from lab.model.words import Nat, NatError

MOST = 4  # more are no help to somebody who asks what to do
ASKED_FOR = ("upnp", "nat-pmp", "pcp")  # the protocols that a node tries


@dataclass(frozen=True, slots=True)
class _Change:
    router: str
    word: str
    sentence: str
    after: Router
    command: str


def remedies(
    topology: Topology, lab: str, a: str, b: str, may_ask: bool = True
) -> tuple[Remedy, ...]:
    """Nothing if it is direct already, or if no words of routers can help.

    `may_ask`: whether the two ask a router that maps ports on request.
    """
    if expect(topology, a, b).path == "direct":
        return ()
    changes = [
        change
        for name in _routers(topology, a, b)
        for change in _changes(topology, name, lab)
        if may_ask or change.word != "port_mapping"
    ]
    alone = _first_of_a_kind(each for each in changes if _is_direct(topology, [each], a, b))
    if alone:
        return tuple(Remedy(each.sentence, each.command) for each in alone[:MOST])
    return tuple(
        Remedy(f"{one.sentence}, and {other.sentence}", f"{one.command} && {other.command}")
        for one, other in combinations(changes, 2)
        if (one.router, one.word) != (other.router, other.word) and one.router != other.router
        if _is_direct(topology, [one, other], a, b)
    )[:1]


def _first_of_a_kind(changes: Iterable[_Change]) -> list[_Change]:
    """A filter that is loose enough is named, and not the looser one as well."""
    first: dict[tuple[str, str], _Change] = {}
    for change in changes:
        first.setdefault((change.router, change.word), change)
    return list(first.values())


def _is_direct(topology: Topology, changes: Iterable[_Change], a: str, b: str) -> bool:
    after = {each.router: each.after for each in changes}
    routers = tuple(after.get(each.name, each) for each in topology.routers)
    changed = replace(topology, routers=routers)
    return expect(changed, a, b).path == "direct"


def _routers(topology: Topology, a: str, b: str) -> list[str]:
    """Those on either way, the innermost first."""
    uplinks = (topology.host(host).on[:1] for host in (a, b))
    ways = (topology.way_up(router) for uplink in uplinks for router in uplink)
    return list(dict.fromkeys(router.name for way in ways for router in way))


def _changes(topology: Topology, name: str, lab: str) -> Iterator[_Change]:
    """By how little each is asked of its owner."""
    router = topology.router(name)
    if not router.ipv4:
        return
    for word, value, sentence in _other_words(name, router.nat):
        words = _that_go_together(router.nat, {word: value})
        if words is None:
            continue
        after = replace(router, nat=replace(router.nat, **words, preset=None))
        command = f"lab.nat {lab} {name} --profile '{_profile(router.nat, words)}'"
        yield _Change(name, word, sentence, after, command)
    if not router.port_mapping and router.nat.mapping not in ("none", "one-to-one"):
        after = replace(router, port_mapping=ASKED_FOR)
        asked = ", ".join(f'"{each}"' for each in ASKED_FOR)
        command = f"lab.up {_found_as(topology)} --name {lab}-mapped"
        command += f" --set router.{name}.port_mapping='[{asked}]'"
        sentence = f"{name} maps a port on request (UPnP, NAT-PMP or PCP)"
        yield _Change(name, "port_mapping", sentence, after, command)


def _found_as(topology: Topology) -> str:
    is_shipped = topology.file == f"topologies/{topology.name}.toml"
    return topology.name if is_shipped else topology.file


def _other_words(name: str, nat: Nat) -> Iterator[tuple[str, Any, str]]:
    if not nat.udp:
        yield "udp", True, f"{name} lets UDP out"
    if nat.unsolicited == "accept":
        yield "unsolicited", "drop", f"{name} drops what nobody inside has asked for"
    strict = STRICTNESS.index(nat.filtering)
    if strict > STRICTNESS.index("address-dependent"):
        sentence = f"{name} filters by address only"
        yield "filtering", "address-dependent", sentence
    if nat.mapping in MOVING:
        sentence = f"{name} maps its host to one endpoint, wherever it sends to"
        yield "mapping", "endpoint-independent", sentence
    if strict > STRICTNESS.index("endpoint-independent"):
        yield "filtering", "endpoint-independent", f"{name} lets anybody in at a mapped endpoint"
    if not nat.hairpin and nat.mapping != "none":
        yield "hairpin", True, f"{name} turns packets round to its own outside address (hairpin)"


def _that_go_together(nat: Nat, words: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """With what else has to change for them: plain MASQUERADE knows few words."""
    honest = {"collisions": "honest", "timeout_unanswered": nat.timeout}
    for given in (dict(words), {**words, **honest}):
        try:
            check(replace(nat, **given, preset=None))
        except NatError:
            continue
        return given
    return None


def _profile(nat: Nat, words: Mapping[str, Any]) -> str:
    own = {"preset": nat.preset} if nat.preset else _own(nat)
    return words_text({**own, **words})


def _own(nat: Nat) -> dict[str, Any]:
    plain = Nat()
    given = {word: getattr(nat, word) for word in Nat.__dataclass_fields__ if word != "preset"}
    return {word: value for word, value in given.items() if value != getattr(plain, word)}
