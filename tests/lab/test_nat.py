"""A NAT as people write it: preset names, words, and what is wrong with them."""

from __future__ import annotations

from typing import get_args

import pytest

from lab.model.nat import PRESETS, Nat, NatError, parse_nat, sysctls
from lab.model.words import Filtering

NAMES = [
    "open",
    "firewall",
    "full-cone",
    "restricted-cone",
    "port-restricted-cone",
    "symmetric",
    "symmetric-sequential",
    "home-linux",
    "home-linux-input-accept",
    "cgnat",
    "cgnat-hard",
    "elastic-ip",
    "elastic-ip-firewalled",
    "udp-blocked",
    "short-timer",
    "no-inbound-refresh",
    "icmp-blackhole",
    "absolute-lifetime",
]


def test_the_presets_are_these_and_know_their_names() -> None:
    assert sorted(PRESETS) == sorted(NAMES)
    assert [nat.preset for nat in PRESETS.values()] == list(PRESETS)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_only_a_name_for_words(name: str) -> None:
    assert parse_nat(name) == PRESETS[name]
    assert parse_nat({"preset": name}) == PRESETS[name]


def test_no_two_presets_are_the_same_words() -> None:
    words = {tuple(getattr(nat, word) for word in Nat.__slots__[:-1]) for nat in PRESETS.values()}

    assert len(words) == len(PRESETS)


def test_words_stand_alone_or_change_a_preset() -> None:
    assert parse_nat({"filtering": "address-dependent", "timeout": "2m"}) == Nat(
        filtering="address-dependent", timeout=120
    )
    assert parse_nat({"preset": "symmetric", "hairpin": True}) == Nat(
        mapping="address-and-port-dependent", ports="random", hairpin=True
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("30", 30), (30, 30), ("2m", 120), ("5 min", 300), ("1h", 3600)],
)
def test_times_have_units(text: object, seconds: int) -> None:
    assert parse_nat({"timeout": text}).timeout == seconds


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("symetric", "nat: no preset is called 'symetric' (did you mean 'symmetric'?)"),
        (3, "nat: 3 is neither a preset's name nor words"),
        ({"mappin": "none"}, "nat.mappin: no such word (did you mean 'mapping'?)"),
        ({"preset": "opne"}, "nat.preset: no preset is called 'opne' (did you mean 'open'?)"),
        (
            {"mapping": "adress-dependent"},
            "nat.mapping: 'adress-dependent' is not a word for it "
            "(did you mean 'address-dependent'?)",
        ),
        ({"hairpin": "yes"}, "nat.hairpin: 'yes' is not true or false"),
        (
            {"timeout": "soon"},
            "nat.timeout: 'soon' is not a time of a second or more (as in \"30s\")",
        ),
        ({"timeout": True}, 'nat.timeout: True is not a time of a second or more (as in "30s")'),
        ({"timeout": 0}, 'nat.timeout: 0 is not a time of a second or more (as in "30s")'),
    ],
)
def test_what_means_nothing_is_refused_in_one_line(value: object, line: str) -> None:
    with pytest.raises(NatError) as caught:
        parse_nat(value)

    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("words", "key", "hint"),
    [
        ({"filtering": "none"}, "nat.filtering", 'nearest: "endpoint-independent"'),
        ({"mapping": "none", "ports": "random"}, "nat.ports", "leave it out"),
        ({"mapping": "one-to-one", "lifetime": 9}, "nat.lifetime", "leave it out"),
        ({"mapping": "none", "hairpin": True}, "nat.hairpin", "nearest: hairpin = false"),
        (
            {"preset": "home-linux", "hairpin": True},
            "nat.collisions",
            'nearest: collisions = "honest"',
        ),
        (
            {"ports": "random", "timeout_unanswered": "30s"},
            "nat.timeout_unanswered",
            "leave it out",
        ),
        (
            {"preset": "absolute-lifetime", "mapping": "address-dependent"},
            "nat.lifetime",
            'nearest: mapping = "endpoint-independent"',
        ),
        (
            {"preset": "absolute-lifetime", "hairpin": True},
            "nat.lifetime",
            "nearest: hairpin = false",
        ),
        (
            {"preset": "absolute-lifetime", "icmp": "translate"},
            "nat.lifetime",
            'nearest: icmp = "drop"',
        ),
        (
            {"preset": "absolute-lifetime", "timeout": "30s"},
            "nat.lifetime",
            'nearest: timeout = "20s"',
        ),
    ],
)
def test_what_no_router_can_do_together_is_refused_with_the_nearest(
    words: dict[str, object], key: str, hint: str
) -> None:
    with pytest.raises(NatError) as caught:
        parse_nat(words)

    assert (caught.value.key, caught.value.hint) == (key, hint)


def test_conntrack_waits_as_long_as_the_words_say() -> None:
    prefix = "net.netfilter.nf_conntrack_udp_timeout"

    counts = ("net.netfilter.nf_conntrack_acct", "1")

    assert sysctls(PRESETS["short-timer"]) == ((prefix, "5"), (f"{prefix}_stream", "5"), counts)
    assert sysctls(PRESETS["home-linux"]) == ((prefix, "30"), (f"{prefix}_stream", "120"), counts)
    assert sysctls(PRESETS["open"]) == ()


def test_every_filtering_goes_with_every_mapping_but_none_where_ports_are_mapped() -> None:
    for filtering in get_args(Filtering):
        assert parse_nat({"mapping": "none", "filtering": filtering}).filtering == filtering
        assert parse_nat({"mapping": "one-to-one", "filtering": filtering})
        for mapping in get_args(Filtering)[1:]:
            words = {"mapping": mapping, "filtering": filtering}
            if filtering != "none":
                assert parse_nat(words).mapping == mapping
