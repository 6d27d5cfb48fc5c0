"""Words to rules: the language each NAT is said in, and that its tool takes the text."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Literal, get_args

import pytest

from lab.model.nat import PRESETS, Nat, NatError, Site, parse_nat, render
from lab.model.words import Filtering, Ports

ONE = Site("wan0", "lan0", ("203.0.113.10",), "192.168.1.0/24", ("192.168.1.10",))
TWO = Site(
    "wan0",
    "lan0",
    ("203.0.113.10", "203.0.113.11"),
    "192.168.1.0/24",
    ("192.168.1.10", "192.168.1.11"),
)
CROWD = Site("wan0", "lan0", ONE.wan_addresses, ONE.lan_net, TWO.inside_hosts)
APART = Site("wan0", "lan0", ("203.0.113.10", "203.0.113.99"), ONE.lan_net, ONE.inside_hosts)
PAIRS = tuple(product(get_args(Filtering)[1:], repeat=2))
REFRESHES: tuple[Literal["both", "outbound"], ...] = ("both", "outbound")

# The legacy tool has one lock for the whole machine, which another test may hold.
RESTORE = ("iptables-restore", "--wait=60")

privileged = pytest.mark.skipif(os.geteuid() != 0, reason="rules are checked in a namespace")


@pytest.mark.parametrize(
    ("name", "one", "crowd"),
    [
        ("open", None, None),
        ("firewall", "iptables", "iptables"),
        ("udp-blocked", "iptables", "iptables"),
        ("full-cone", "nftables", "nftables"),
        ("restricted-cone", "nftables", "nftables"),
        ("port-restricted-cone", "iptables", "nftables"),
        ("symmetric", "iptables", "iptables"),
        ("symmetric-sequential", "nftables", "nftables"),
        ("home-linux", "iptables", "iptables"),
        ("home-linux-input-accept", "iptables", "iptables"),
        ("cgnat", "nftables", "nftables"),
        ("cgnat-hard", "iptables", "iptables"),
        ("short-timer", "iptables", "nftables"),
        ("no-inbound-refresh", "nftables", "nftables"),
        ("icmp-blackhole", "iptables", "nftables"),
        ("absolute-lifetime", "nftables", "nftables"),
    ],
)
def test_iptables_speaks_wherever_it_is_honest(
    name: str, one: str | None, crowd: str | None
) -> None:
    assert language(PRESETS[name], ONE) == one
    assert language(PRESETS[name], CROWD) == crowd


def test_it_says_why_in_one_sentence() -> None:
    [alone] = render(PRESETS["port-restricted-cone"], ONE)
    [shared] = render(PRESETS["port-restricted-cone"], CROWD)

    assert alone.why == (
        "iptables: MASQUERADE keeps one mapping for each port of the one inside host"
    )
    assert shared.why == (
        "nftables, because MASQUERADE breaks a mapping when a second inside host wants its port"
    )


def test_a_pool_is_for_iptables_only_if_it_is_a_range_and_paired() -> None:
    nat = PRESETS["symmetric"]

    assert language(nat, TWO) == "iptables"
    assert language(nat, APART) == "nftables"
    assert language(PRESETS["cgnat-hard"], TWO) == "nftables"


def test_one_to_one_needs_an_address_for_each_host() -> None:
    with pytest.raises(NatError, match="2 hosts, 1"):
        render(PRESETS["elastic-ip"], CROWD)


def test_plain_masquerade_cannot_be_arbitrary() -> None:
    nat = parse_nat({"preset": "home-linux", "pool": "arbitrary"})

    with pytest.raises(NatError) as caught:
        render(nat, TWO)
    assert (caught.value.key, caught.value.hint) == (
        *("nat.collisions", 'nearest: collisions = "honest"'),
    )


def test_the_same_words_give_the_same_text() -> None:
    for nat in PRESETS.values():
        assert render(nat, TWO) == render(nat, TWO)


def test_iptables_texts_keep_to_what_restore_reads() -> None:
    [ruleset] = render(PRESETS["symmetric"], ONE)

    assert "-A POSTROUTING -o wan0 -j MASQUERADE --random-fully\n" in ruleset.text
    assert (
        '-A INPUT -i wan0 -m comment --comment "nobody inside asked for it" -j DROP\n'
        in ruleset.text
    )
    assert ruleset.text.count("COMMIT\n") == 2


@privileged
@pytest.mark.skipif(not shutil.which("nft"), reason="nft is not installed")
def test_nft_takes_every_mix_of_words() -> None:
    texts = [
        re.sub(r"^table ip punchlab", f"table ip punchlab{n}", ruleset.text, flags=re.M)
        for n, (nat, site) in enumerate(mixes())
        for ruleset in render(nat, site)
        if ruleset.backend == "nftables"
    ]

    assert len(texts) > 50
    assert in_namespace(["nft", "-c", "-f", "-"], "".join(texts)) == ""


@privileged
@pytest.mark.skipif(not shutil.which("iptables-restore"), reason="iptables is not installed")
@pytest.mark.parametrize("name", PRESETS)
def test_iptables_restore_takes_every_preset(name: str) -> None:
    for site in (ONE, TWO):
        for each in render(PRESETS[name], site):
            if each.backend == "iptables":
                assert in_namespace([*RESTORE, "--test"], each.text) == ""


@privileged
def test_a_wrong_text_is_not_taken() -> None:
    [ruleset] = render(PRESETS["symmetric"], ONE)
    wrong = ruleset.text.replace("MASQUERADE", "MASKERADE")

    assert "line: 3" in in_namespace([*RESTORE, "--test"], wrong)


def mixes() -> Iterator[tuple[Nat, Site]]:
    """Every pair with all that can be said beside it."""
    for mapping, filtering in PAIRS:
        yield Nat(mapping, filtering, "preserve"), CROWD
        for refresh in REFRESHES:
            paired = Nat(mapping, filtering, "random", True, "mapping", refresh=refresh)
            yield paired, ONE
            yield replace(paired, scope="endpoint", hairpin=False, pool="arbitrary"), TWO
    for ports in get_args(Ports):
        yield Nat("address-and-port-dependent", ports=ports, hairpin=True), TWO
    for preset in PRESETS.values():
        yield preset, TWO


def language(nat: Nat, site: Site) -> str | None:
    rulesets = render(nat, site)
    return rulesets[0].backend if rulesets else None


def in_namespace(argv: list[str], text: str) -> str:
    """What the tool complains about."""
    argv = ["unshare", "-n", *argv]
    done = subprocess.run(argv, input=text, text=True, capture_output=True, check=False)
    return done.stderr if done.returncode else ""
