"""Routers that map ports on request: what a topology may say, and what it becomes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.model.blocks import MAPPING_ROUTERS
from lab.model.layout import plan_of
from lab.model.plan import Machine, Plan
from lab.model.topology import TopologyError, load, loads
from lab.world.authority import Authority
from lab.world.daemons.contract import Place
from lab.world.daemons.miniupnpd import Miniupnpd
from lab.world.roster import Roster

HOME = """
router.home = { nat = "symmetric", lan = "192.168.1.0/24", port_mapping = ["pcp"] }
host.pc = { on = "home" }
"""


def test_such_a_router_has_a_public_address_a_table_and_a_daemon() -> None:
    plan = plan_of(load("port-mapped"))
    assert plan.underlay["home-a"] == "44.12.0.10"
    assert plan.underlay["home-b"] == "203.0.113.10"  # the others have documentation's
    home = plan.machine("home-a")
    assert [rules.backend for rules in home.rules] == ["iptables", "nftables"]
    [daemon] = [daemon for daemon in plan.daemons if daemon.host == "home-a"]
    assert (daemon.runs, daemon.settings) == (
        "miniupnpd",
        {"protocols": ["upnp", "nat-pmp", "pcp"], "lan": "192.168.1.0/24"},
    )


def test_what_comes_to_a_mapped_port_passes_the_filter_there_and_nowhere_else() -> None:
    plan = plan_of(load("port-mapped"))
    passes = "-A FORWARD -i wan0 -m conntrack --ctstate DNAT -j ACCEPT"
    assert passes in plan.machine("home-a").rules[0].text
    assert passes not in plan.machine("home-b").rules[0].text


def test_behind_a_carrier_it_has_the_carrier_s_address_and_will_refuse() -> None:
    carrier = 'router.isp = { nat = "symmetric", lan = "10.64.0.0/20" }'
    plan = plan_of(loads(carrier + HOME, "t.toml", {"router.home.upstream": "isp"}))
    assert plan.underlay["home"] == "10.64.0.10"


def test_an_address_that_is_given_stays() -> None:
    plan = plan_of(loads(HOME, "t.toml", {"router.home.addresses": '["44.12.9.9"]'}))
    assert plan.underlay["home"] == "44.12.9.9"


@pytest.mark.parametrize(
    ("protocols", "versions"),
    [
        (["pcp"], [0]),
        (["nat-pmp"], [2]),
        (["upnp"], [0, 2]),
        (["nat-pmp", "pcp"], []),
    ],
)
def test_a_protocol_that_is_not_named_is_not_heard(
    protocols: list[str], versions: list[int]
) -> None:
    home = home_with(protocols)
    dropped = [version for version in (0, 2) if f"5351 @th,64,8 {version} drop" in rules_of(home)]
    assert dropped == versions


@pytest.mark.parametrize(
    ("overrides", "error"),
    [
        (
            {"router.home.port_mapping": '["pnp"]'},
            't.toml: router.home.port_mapping: "pnp" maps no ports; did you mean "upnp"?',
        ),
        (
            {"router.home.port_mapping": '["pcp", "pcp"]'},
            't.toml: router.home.port_mapping: "pcp" is there twice',
        ),
        (
            {"router.home.nat": "open"},
            "t.toml: router.home.port_mapping: does nothing where ports are not translated",
        ),
        (
            {"router.home.nat": '{ refresh = "outbound" }'},
            "t.toml: router.home.port_mapping: this NAT lets in only whom an inside host has"
            " written to, lately; leave out the nat's scope, refresh and lifetime",
        ),
    ],
)
def test_a_mistake_is_one_line(overrides: dict[str, str], error: str) -> None:
    with pytest.raises(TopologyError) as caught:
        plan_of(loads(HOME, "t.toml", overrides))
    assert str(caught.value) == error


def test_no_lan_may_hide_the_block_of_such_routers() -> None:
    with pytest.raises(TopologyError, match="overlaps"):
        plan_of(loads(HOME, "t.toml", {"router.home.lan": str(MAPPING_ROUTERS)}))


@pytest.mark.parametrize(
    ("protocols", "serves", "line"),
    [
        (["upnp"], ("no", "yes"), "miniupnpd[9]: HTTP listening on port 35583"),
        (["pcp"], ("yes", "no"), "miniupnpd[9]: Listening for NAT-PMP/PCP traffic on port 5351"),
    ],
)
def test_the_daemon_serves_what_the_router_says(
    protocols: list[str], serves: tuple[str, str], line: str, tmp_path: Path
) -> None:
    place = Place("home", "44.12.0.10", tmp_path, Roster({}, {}, Authority()))
    daemon = Miniupnpd(place, {"protocols": protocols, "lan": "192.168.1.0/24"})
    argv = daemon.argv()
    configuration = Path(argv[argv.index("-f") + 1]).read_text().splitlines()
    assert f"enable_natpmp={serves[0]}" in configuration
    assert f"enable_upnp={serves[1]}" in configuration
    assert "allow 1024-65535 192.168.1.0/24 1024-65535" in configuration
    assert daemon.says_ready(line, None)
    assert not daemon.says_ready("miniupnpd[9]: mnl_socket bound, port_id=9", None)


# --- what the tests are made of ---


def home_with(protocols: list[str]) -> Machine:
    plan = plan_of(loads(HOME, "t.toml", {"router.home.port_mapping": json.dumps(protocols)}))
    assert Plan.from_json(plan.to_json()) == plan
    return plan.machine("home")


def rules_of(machine: Machine) -> str:
    return "".join(rules.text for rules in machine.rules)
