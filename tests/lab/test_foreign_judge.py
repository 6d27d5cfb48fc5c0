"""coturn's own discovery tool, against a real coturn, says the same of all pairs and of every preset.

Two hosts behind each pair's router ask at once, from equal source ports: so what it says also holds
where ports collide.

What the tool cannot see: a router's dealing with collisions and with what comes unsolicited, which
side's packets refresh a mapping, ICMP, and pools. So there are presets which it cannot tell apart, and
those are listed; our own prober can (`test_probe`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab.ask import ask
from lab.client import Lab
from lab.model.nat import PRESETS
from tests.lab.discovery import (
    ALL,
    FILTERING,
    HAIRPIN,
    MAPPING,
    NOT_HERE,
    USED,
    Verdict,
    ask_at_once,
    behaviour,
    coturn,
    reflexive_ports,
    verdict,
)
from tests.lab.street import NATS, PAIRS, hosts_of, street

pytestmark = [NOT_HERE, pytest.mark.xdist_group("foreign judge")]

EI, AD, APD = "Endpoint Independent", "Address Dependent", "Address and Port Dependent"
WORDS = {
    "endpoint-independent": EI,
    "address-dependent": AD,
    "address-and-port-dependent": APD,
}
LONG, SHORT = "over 6 s", "2 to 6 s"

# Mapping, filtering, ports, hairpin, and how long an idle mapping lives.
SAID = {
    "open": Verdict("No NAT", EI, "preserved", None, LONG),
    "firewall": Verdict("No NAT", APD, "preserved", None, LONG),
    "udp-blocked": Verdict(),
    "full-cone": Verdict(EI, EI, "preserved", False, LONG),
    "restricted-cone": Verdict(EI, AD, "preserved", False, LONG),
    "port-restricted-cone": Verdict(EI, APD, "preserved", False, LONG),
    "symmetric": Verdict(APD, APD, "other", False, LONG),
    "symmetric-sequential": Verdict(APD, APD, "sequential", False, LONG),
    "home-linux": Verdict(EI, APD, "preserved", False, LONG),
    "home-linux-input-accept": Verdict(EI, APD, "preserved", False, LONG),
    "cgnat": Verdict(EI, EI, "other", True, LONG),
    "cgnat-hard": Verdict(APD, APD, "other", False, LONG),
    "elastic-ip": Verdict(EI, EI, "preserved", True, LONG),
    "elastic-ip-firewalled": Verdict(EI, APD, "preserved", False, LONG),
    "short-timer": Verdict(EI, APD, "preserved", False, SHORT),
    "no-inbound-refresh": Verdict(EI, APD, "preserved", False, SHORT),
    "icmp-blackhole": Verdict(EI, APD, "preserved", False, LONG),
    "absolute-lifetime": Verdict(EI, APD, "other", False, LONG),
}
ALIKE = [
    {
        "port-restricted-cone",
        "home-linux",
        "home-linux-input-accept",
        "elastic-ip-firewalled",
        "icmp-blackhole",
    },
    {"symmetric", "cgnat-hard"},
    {"short-timer", "no-inbound-refresh"},
]


@dataclass(frozen=True)
class Asked:
    said: dict[str, dict[str, str]]  # by host and question: what the tool printed
    flows: dict[str, list[dict[str, Any]]]  # by router: what it remembered when all had asked


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("judge")
    questions = {
        **{host: (MAPPING, FILTERING) for name in PAIRS for host in hosts_of(name)},
        **{host: ALL for name in PRESETS for host in hosts_of(name)},
        "udp-blocked-1": (MAPPING, FILTERING, HAIRPIN),  # nothing answers, so nothing can die
        "absolute-lifetime-1": (*ALL, USED),
        "dies-of-age-1": (USED,),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUNCHLAB_STATE", str(folder / "state"))
        lab = Lab.up(street([*PAIRS, *PRESETS, "dies-of-age"]))
        try:
            with coturn(lab, folder):
                said = ask_at_once(lab, folder, questions)
            counted = ask(lab.folder, "counted", routers=list(PAIRS))["routers"]
            yield Asked(said, {name: counted[name]["flows"] for name in PAIRS})
        finally:
            lab.down()


@pytest.mark.scenario(98)
@pytest.mark.parametrize("name", PAIRS)
def test_a_foreign_judge_agrees_on_a_pair_from_both_hosts(asked: Asked, name: str) -> None:
    nat = NATS[name]

    for host in hosts_of(name):
        assert behaviour("Mapping", asked.said[host][MAPPING]) == WORDS[nat.mapping]
        assert behaviour("Filtering", asked.said[host][FILTERING]) == WORDS[nat.filtering]


@pytest.mark.parametrize("name", PAIRS)
def test_both_hosts_held_mappings_of_the_same_port_meanwhile(asked: Asked, name: str) -> None:
    sources = {flow["source"] for flow in asked.flows[name]}

    for port in (5000, 6000):
        assert sum(source.endswith(f":{port}") for source in sources) == 2


@pytest.mark.scenario(98)
@pytest.mark.parametrize("name", PRESETS)
def test_a_foreign_judge_agrees_on_a_preset_and_refuses_every_other_name(
    asked: Asked, name: str
) -> None:
    [host] = hosts_of(name)
    judged = verdict(asked.said[host])

    assert judged == SAID[name]
    fitting = {other for other, said in SAID.items() if said == judged}
    assert fitting == next((group for group in ALIKE if name in group), {name})


@pytest.mark.parametrize(
    ("host", "dies"), [("dies-of-age-1", True), ("absolute-lifetime-1", False)]
)
def test_a_mapping_in_use_is_seen_to_die_of_age(asked: Asked, host: str, dies: bool) -> None:
    """The same words but for the age: 4 seconds, and 20; asked through it for six."""
    ports = reflexive_ports(asked.said[host][USED])

    assert len(ports) >= 6
    assert (len(set(ports)) > 1) == dies
