"""The path to expect: every kind of NAT against every other, chains, and routers in common."""

from __future__ import annotations

import pytest

from lab.model.nat import PRESETS, Nat
from lab.model.topology import load, loads
from lab.model.verdict import End, Level, Verdict, expect, meet

# D1..D3 are direct, R4..R5 stay on the relay; the rows are in the order of the columns.
MATRIX = """\
open                   D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  R5
elastic-ip             D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  R5
full-cone              D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  R5
adm-eif                D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  R5
apdm-eif               D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  D1  R5
firewall               D1  D1  D1  D1  D1  D3  D3  D3  D3  D2  R4  R4  R4  R4  R4  R5
elastic-ip-firewalled  D1  D1  D1  D1  D1  D3  D3  D3  D3  D2  R4  R4  R4  R4  R4  R5
port-restricted-cone   D1  D1  D1  D1  D1  D3  D3  D3  D3  D2  R4  R4  R4  R4  R4  R5
home-linux             D1  D1  D1  D1  D1  D3  D3  D3  D3  D2  R4  R4  R4  R4  R4  R5
restricted-cone        D1  D1  D1  D1  D1  D2  D2  D2  D2  D2  D2  D2  D2  D2  D2  R5
adm-adf                D1  D1  D1  D1  D1  R4  R4  R4  R4  D2  R4b R4b R4b R4b R4b R5
adm-apdf               D1  D1  D1  D1  D1  R4  R4  R4  R4  D2  R4b R4b R4b R4b R4b R5
apdm-adf               D1  D1  D1  D1  D1  R4  R4  R4  R4  D2  R4b R4b R4b R4b R4b R5
symmetric              D1  D1  D1  D1  D1  R4  R4  R4  R4  D2  R4b R4b R4b R4b R4b R5
symmetric-sequential   D1  D1  D1  D1  D1  R4  R4  R4  R4  D2  R4b R4b R4b R4b R4b R5
udp-blocked            R5  R5  R5  R5  R5  R5  R5  R5  R5  R5  R5  R5  R5  R5  R5  R5
"""

PAIRS = {
    "adm-eif": Nat(mapping="address-dependent", filtering="endpoint-independent"),
    "apdm-eif": Nat(mapping="address-and-port-dependent", filtering="endpoint-independent"),
    "adm-adf": Nat(mapping="address-dependent", filtering="address-dependent"),
    "adm-apdf": Nat(mapping="address-dependent", filtering="address-and-port-dependent"),
    "apdm-adf": Nat(mapping="address-and-port-dependent", filtering="address-dependent"),
}
ROWS = [line.split() for line in MATRIX.splitlines()]
NAMES = [row[0] for row in ROWS]
CELLS = [
    (name, other, rule) for name, *rules in ROWS for other, rule in zip(NAMES, rules, strict=True)
]


@pytest.mark.parametrize(("one", "other", "rule"), CELLS)
def test_every_kind_of_nat_against_every_other(one: str, other: str, rule: str) -> None:
    verdict = meet(home("a", one), home("b", other))

    assert verdict.rule == rule
    assert verdict.path == ("direct" if rule.startswith("D") else "relay")


def test_the_matrix_has_sixteen_kinds() -> None:
    assert len(CELLS) == 16 * 16


@pytest.mark.parametrize("one", NAMES)
@pytest.mark.parametrize("other", NAMES)
def test_a_path_ends_the_same_whoever_asks(one: str, other: str) -> None:
    there = meet(home("a", one), home("b", other))
    back = meet(home("b", other), home("a", one))

    assert (there.path, there.rule) == (back.path, back.rule)


def test_the_reason_names_the_routers() -> None:
    assert meet(home("a", "symmetric"), home("b", "port-restricted-cone")) == Verdict(
        "relay",
        "home-a sends from another port than the one that STUN saw, "
        "and home-b admits only the endpoint that node-b has sent to",
        "R4",
    )
    assert meet(home("a", "symmetric"), home("b", "full-cone")).reason == (
        "home-b lets anybody in at the endpoint of node-b, so the ping of node-a arrives"
    )
    assert meet(home("a", "symmetric"), home("b", "symmetric")).reason == (
        "home-a and home-b both map anew for each other's endpoint, "
        "so no ping comes from where it is awaited"
    )
    assert meet(home("a", "open"), home("b", "udp-blocked")).reason == "home-b lets no UDP out"


# --- filters that permit for the whole inside endpoint


@pytest.mark.parametrize(
    ("mine", "theirs", "path"),
    [
        ("apdm-adf", "symmetric", "direct"),
        ("adm-adf", "port-restricted-cone", "direct"),
        ("symmetric", "port-restricted-cone", "direct"),
        ("symmetric", "symmetric", "relay"),
        ("apdm-adf", "udp-blocked", "relay"),
    ],
)
def test_a_filter_that_permits_by_endpoint_does_not_mind_its_own_mapping(
    mine: str, theirs: str, path: str
) -> None:
    words = words_of(mine)
    by_endpoint = Nat(mapping=words.mapping, filtering=words.filtering, scope="endpoint")

    assert meet(End("a", (Level("ra", by_endpoint),)), home("b", theirs)).path == path


# --- chains


def test_a_chain_is_as_strict_as_its_strictest_router() -> None:
    chain = End("a", (level("home", "full-cone"), level("isp", "port-restricted-cone")))

    assert meet(chain, home("b", "symmetric")).rule == "R4"
    assert meet(chain, home("b", "port-restricted-cone")).rule == "D3"


def test_a_chain_moves_if_one_of_its_routers_does() -> None:
    outer = End("a", (level("home", "port-restricted-cone"), level("isp", "symmetric")))
    inner = End("a", (level("home", "symmetric"), level("isp", "port-restricted-cone")))

    assert meet(outer, home("b", "port-restricted-cone")).rule == "R4"
    assert meet(inner, home("b", "port-restricted-cone")).rule == "R4"


def test_a_filter_below_a_moving_mapping_is_not_deceived_by_it() -> None:
    """The carrier lets anybody in; the home below has sent to the peer from its one mapping."""
    chain = End("a", (level("home", "restricted-cone"), level("isp", "apdm-eif")))

    assert meet(chain, home("b", "symmetric")).rule == "D2"


# --- a mapping that moves to the next port


@pytest.mark.parametrize(
    ("counting", "other", "rule"),
    [
        ("symmetric-sequential", "port-restricted-cone", "D4"),
        ("symmetric-sequential", "firewall", "D4"),
        ("symmetric-sequential", "home-linux", "D4"),
        ("symmetric-sequential", "full-cone", "D1"),
        ("symmetric-sequential", "restricted-cone", "D2"),
        ("symmetric-sequential", "home-linux-input-accept", "R4"),  # a ping takes the port
        ("symmetric-sequential", "symmetric-sequential", "R4b"),  # so does each guess
        ("symmetric", "port-restricted-cone", "R4"),
    ],
)
def test_two_relays_show_a_nat_that_counts(counting: str, other: str, rule: str) -> None:
    topology = loads(TWO_RELAYS + HOSTS_IN(counting, other), "two.toml")

    assert expect(topology, "a", "b").rule == expect(topology, "b", "a").rule == rule


def test_one_relay_does_not_show_it() -> None:
    topology = loads(ONE_RELAY + HOSTS_IN("symmetric-sequential", "firewall"), "one.toml")

    assert expect(topology, "a", "b").rule == "R4"


@pytest.mark.parametrize(
    ("carrier", "home", "rule"),
    [
        ("symmetric-sequential", "symmetric", "D4"),
        ("symmetric", "symmetric-sequential", "R4"),
        ("port-restricted-cone", "symmetric-sequential", "D4"),  # it keeps the ports
    ],
)
def test_of_a_chain_the_ports_that_are_seen_outside_count(
    carrier: str, home: str, rule: str
) -> None:
    isp = f'router.isp.nat = "{carrier}"'
    above = {"router.ra.upstream": "isp"}
    topology = loads(TWO_RELAYS + isp + HOSTS_IN(home, "firewall"), "chain.toml", above)

    assert expect(topology, "a", "b").rule == rule


# --- a router that accepts what nobody inside has asked for


def test_an_uninvited_ping_takes_the_port_of_the_end_that_is_called() -> None:
    accepting = home("b", "home-linux-input-accept")
    strict = home("a", "port-restricted-cone")

    verdict = meet(strict, accepting)

    assert (verdict.path, verdict.rule) == ("relay", "R4")
    assert verdict.reason.startswith("the first ping of node-a comes uninvited and takes the port")
    assert meet(accepting, strict).rule == "D3"  # the caller's own ping has opened the way by then
    assert meet(home("a", "home-linux"), home("b", "home-linux")).rule == "D3"  # the control


def test_who_admits_another_port_is_not_hurt_by_an_uninvited_ping() -> None:
    accepting = home("b", "home-linux-input-accept")

    assert meet(home("a", "full-cone"), accepting).rule == "D1"
    assert meet(home("a", "restricted-cone"), accepting).rule == "D2"


def test_a_carrier_that_filters_keeps_uninvited_pings_from_the_home() -> None:
    behind = End("b", (level("home", "home-linux-input-accept"), level("isp", "firewall")))
    exposed = End("b", (level("home", "home-linux-input-accept"), level("isp", "full-cone")))
    strict = home("a", "port-restricted-cone")

    assert (meet(strict, behind).rule, meet(strict, exposed).rule) == ("D3", "R4")


# --- topologies


def test_two_hosts_in_one_lan_meet_there_whatever_is_above() -> None:
    topology = loads(HOSTS_IN("udp-blocked", "udp-blocked"), "t.toml", {"host.b.on": "ra"})

    assert expect(topology, "a", "b") == Verdict("direct", "both are in the LAN of ra", "LAN")


@pytest.mark.parametrize(
    ("carrier", "home", "rule"),
    [
        ('{ filtering = "endpoint-independent", hairpin = true }', "port-restricted-cone", "D3"),
        ('{ filtering = "endpoint-independent" }', "port-restricted-cone", "R6"),
        ('{ preset = "symmetric", hairpin = true }', "port-restricted-cone", "R4b"),
        ('{ preset = "symmetric", hairpin = true }', "full-cone", "D1"),
        ('{ preset = "udp-blocked" }', "full-cone", "R5"),
        ('{ preset = "udp-blocked" }', "open", "D1"),
        ('{ preset = "symmetric" }', "firewall", "D3"),
    ],
)
def test_two_homes_behind_one_carrier(carrier: str, home: str, rule: str) -> None:
    topology = loads(UNDER_ONE_CARRIER % (carrier, home, home), "t.toml")

    assert expect(topology, "a", "b").rule == rule


def test_a_host_right_behind_the_carrier_is_reached_by_its_own_address() -> None:
    text = UNDER_ONE_CARRIER % ('"symmetric"', "symmetric", "symmetric")
    topology = loads(text, "t.toml", {"host.b.on": "isp"})

    assert expect(topology, "a", "b") == Verdict(
        "direct", "a reaches b by its address inside isp", "LAN"
    )


def test_a_port_mapping_opens_a_home_but_not_one_behind_a_carrier() -> None:
    pair = loads(HOSTS_IN("symmetric", "symmetric"), "t.toml")
    assert expect(pair, "a", "b").rule == "R4b"
    mapped = {"router.rb.port_mapping": '["pcp"]'}
    assert (
        expect(loads(HOSTS_IN("symmetric", "symmetric"), "t.toml", mapped), "a", "b").rule == "D1"
    )

    hard = {"router.home-a.nat": "symmetric", "router.home-b.nat": "symmetric"}
    double = load("double-nat", {**hard, "router.home-a.port_mapping": '["pcp"]'})
    assert expect(double, "node-a", "node-b").rule == "R4b"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("nat-pair", "D3"),
        ("double-nat", "D3"),
        ("hard-pair", "R4b"),
        ("port-mapped", "D1"),
        ("easy-hard", "D2"),
        ("same-lan", "LAN"),
        ("same-carrier", "D3"),
        ("udp-blocked", "R5"),
        ("public", "D1"),
        ("lossy", "D3"),
        ("two-regions", "R4b"),
    ],
)
def test_the_story_of_each_shipped_topology(name: str, rule: str) -> None:
    topology = load(name)
    [a, b] = [host.name for host in topology.hosts if host.runs == "node"][:2]

    assert expect(topology, a, b).rule == rule


ONE_RELAY = """
relay.nyc.hostname = "nyc.derp.example"
"""
TWO_RELAYS = f"""
{ONE_RELAY}
relay.fra.hostname = "fra.derp.example"
"""

HOSTS_IN = """
router.ra.nat = "{}"
router.rb.nat = "{}"
host.a.on = "ra"
host.b.on = "rb"
""".format

UNDER_ONE_CARRIER = """
router.isp.nat = %s
router.ra = { upstream = "isp", nat = "%s" }
router.rb = { upstream = "isp", nat = "%s" }
host.a.on = "ra"
host.b.on = "rb"
"""


def words_of(name: str) -> Nat:
    return PAIRS.get(name) or PRESETS[name]


def level(router: str, name: str) -> Level:
    return Level(router, words_of(name))


def home(letter: str, name: str) -> End:
    return End(f"node-{letter}", (level(f"home-{letter}", name),))
