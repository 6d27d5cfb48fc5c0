"""The verdicts really tried: every kind of NAT against every other, by sockets through the kernel."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations, product

import pytest

from lab.client import Lab
from lab.judge.experiments import Inside
from lab.judge.punch import punch
from lab.judge.stage import Stage
from lab.model.layout import plan_of
from lab.model.nat import PRESETS
from lab.model.topology import Topology, loads
from lab.model.verdict import expect
from tests.lab.conftest import Up
from tests.lab.street import PAIRS, WORDS

BY_ENDPOINT = {
    "by-endpoint-adm": {"mapping": "address-dependent", "filtering": "address-dependent"},
    "by-endpoint-apdm": {"preset": "symmetric"},
}
NAMED_PAIRS = ["full-cone", "restricted-cone", "port-restricted-cone", "symmetric"]  # among PAIRS
WHO_IS_FIRST = (
    "home-linux-input-accept"  # decides there (test_verdict.py), and all of these are at once
)
KINDS: dict[str, object] = {
    **PAIRS,
    **{name: WORDS[name] for name in PRESETS if name not in [*NAMED_PAIRS, WHO_IS_FIRST]},
    **{name: {**words, "scope": "endpoint"} for name, words in BY_ENDPOINT.items()},
}
HOMES = ["full-cone", "port-restricted-cone", "symmetric"]
# An elastic IP has no address for what is only routed to it.
CARRIERS = {
    "full-cone": [*HOMES, "open", "firewall"],
    "port-restricted-cone": [*HOMES, "open", "firewall"],
    "symmetric": [*HOMES, "open", "firewall"],
    "elastic-ip": HOMES,
}


@pytest.mark.scenario(2)
def test_every_kind_against_every_other_goes_as_the_verdict_says(up: Up) -> None:
    topology = loads("\n".join(home(side, name) for side in "ab" for name in KINDS), "all.toml")
    pairs = [(f"a-{one}-1", f"b-{other}-1") for one, other in product(KINDS, KINDS)]

    assert wrong_verdicts(up, topology, pairs) == {}
    assert len(pairs) == 24 * 24


@pytest.mark.scenario(7, 9)
def test_homes_behind_one_carrier_go_as_the_verdict_says(up: Up) -> None:
    lines, pairs = ["[host.far]"], []
    for carrier, hairpin in product(CARRIERS, (True, False)):
        isp = f"{carrier}-{'turns' if hairpin else 'ends'}"
        lines.append(f"[router.{isp}]")
        lines.append(f'nat = {{ preset = "{carrier}", hairpin = {json.dumps(hairpin)} }}')
        for letter in "ab":
            lines += [home(f"{isp}-{letter}", name, isp) for name in CARRIERS[carrier]]
        lines += [f'[host.{isp}-near]\non = "{isp}"']
        lines += [f'[host.{isp}-same]\non = "{isp}-a-symmetric"']
        inside = [f"{isp}-{letter}-{name}-1" for letter in "ab" for name in CARRIERS[carrier]]
        names = [*inside, f"{isp}-near", f"{isp}-same", "far"]
        pairs += list(combinations(names, 2))
    topology = loads("\n".join(lines), "carriers.toml")

    assert wrong_verdicts(up, topology, pairs) == {}
    assert len(pairs) == 6 * 78 + 2 * 36


def wrong_verdicts(
    up: Up, topology: Topology, pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], str]:
    lab = up(plan_of(topology))
    observed = tried(lab, pairs)
    verdicts = {pair: expect(topology, *pair) for pair in pairs}
    return {
        pair: f"{observed[pair]}, but {verdicts[pair].path} was expected: {verdicts[pair].reason}"
        for pair in pairs
        if observed[pair] != verdicts[pair].path
    }


def tried(lab: Lab, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    underlay = lab.plan().underlay
    with Stage(lab.popen) as stage:
        server = stage.open("internet", underlay["internet"], 0)
        ends = [(Inside(a, underlay[a]), Inside(b, underlay[b])) for a, b in pairs]
        direct = punch(stage, server, ends)
    return {
        pair: "direct" if worked else "relay" for pair, worked in zip(pairs, direct, strict=True)
    }


def home(side: str, name: str, upstream: str | None = None) -> str:
    words = KINDS.get(name) or WORDS[name]
    assert isinstance(words, dict)
    pairs = ", ".join(f"{word} = {json.dumps(value)}" for word, value in words.items())
    above = f'upstream = "{upstream}"\n' if upstream else ""
    router = f"{side}-{name}"
    return f'[router.{router}]\n{above}nat = {{ {pairs} }}\n[host.{router}-1]\non = "{router}"'
