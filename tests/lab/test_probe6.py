"""What the prober measures of IPv6: every kind of router is told, and refused under any other name."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from lab.client import Lab
from lab.errors import BadRequest
from lab.judge.judged import judge_all
from lab.judge.measured import Measured, compare
from lab.judge.probe import probe6
from lab.model.network import IPv6Kind
from lab.model.topology import loads
from lab.model.words6 import WORDS6

pytestmark = pytest.mark.xdist_group("probe6")  # one lab for all of these

KINDS = """
router.{kind} = {{ nat = "udp-blocked", ipv6 = "{kind}" }}
host.{kind}-1.on = "{kind}"
host.{kind}-2.on = "{kind}"
"""
NOBODY = 'router.deserted = { nat = "open", ipv6 = "open" }\nhost.old = { on = "deserted", ipv6 = false }\n'

# What the router is, what it is called, and the words by which that is found out.
WRONG_NAMES = [
    ("open", "firewall", ["filtering"]),
    ("open", "nptv6", ["mapping"]),
    ("firewall", "firewall-open", ["filtering"]),
    ("firewall", "nat66", ["mapping"]),
    ("firewall-open", "open", ["filtering"]),
    ("nat66", "firewall", ["mapping"]),
    ("nat66", "nptv6", ["filtering", "hairpin"]),
    ("nptv6", "nat66", ["mapping", "filtering", "hairpin"]),
    ("nptv6", "open", ["mapping", "hairpin"]),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    text = "".join(KINDS.format(kind=kind) for kind in WORDS6) + NOBODY
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUNCHLAB_STATE", str(tmp_path_factory.mktemp("probe6")))
        lab = Lab.up(loads(text, "kinds.toml"))
        try:
            yield lab
        finally:
            lab.down()


@pytest.fixture(scope="module")
def measured(built: Lab) -> dict[str, Measured]:
    with ThreadPoolExecutor(len(WORDS6)) as pool:
        return dict(zip(WORDS6, pool.map(lambda kind: probe6(built, kind), WORDS6), strict=True))


@pytest.mark.scenario(98)
@pytest.mark.parametrize("kind", WORDS6)
def test_each_kind_is_what_it_is_called_though_ipv4_is_blocked(
    measured: dict[str, Measured], kind: str
) -> None:
    assert measured[kind].udp
    assert [name for name, words in WORDS6.items() if not compare(words, measured[kind])] == [kind]


@pytest.mark.scenario(98)
@pytest.mark.parametrize(("kind", "called", "words"), WRONG_NAMES)
def test_a_wrong_name_is_refused_by_the_words_that_differ(
    measured: dict[str, Measured], kind: str, called: IPv6Kind, words: list[str]
) -> None:
    assert [each.word for each in compare(WORDS6[called], measured[kind])] == words


def test_every_kind_has_a_wrong_name_above() -> None:
    assert {kind for kind, _, _ in WRONG_NAMES} == set(WORDS6)


def test_a_router_is_judged_in_each_family_that_it_carries(built: Lab) -> None:
    router = built.topology().router("nptv6")

    both = judge_all(built, router)
    assert [(each.family, each.called) for each in both] == [
        ("IPv4", "udp-blocked"),
        ("IPv6", "nptv6"),
    ]
    assert [each.disagreements for each in both] == [(), ()]
    [alone] = judge_all(built, replace(router, ipv4=False))
    assert alone.told()["measured"] == {
        "udp": True,
        "mapping": "one-to-one",
        "filtering": "none",
        "hairpin": True,
    }


def test_where_nobody_has_ipv6_nothing_is_measured(built: Lab) -> None:
    with pytest.raises(BadRequest, match="no host behind deserted has IPv6"):
        probe6(built, "deserted")
