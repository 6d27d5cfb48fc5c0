"""How topologies are laid out: addresses, routes, wires and daemons, spelled out."""

import pytest

from lab.model.layout import plan_of
from lab.model.link import PERFECT
from lab.model.plan import DaemonPlan, Interface, Machine, Plan, Route, Wire
from lab.model.topology import TopologyError, load, loads

ON_INTERNET = Route("default", "eth0", via="192.0.2.1", onlink=True)

NAT_PAIR = """
relay.nyc = {}
router.home-a = { nat = "port-restricted-cone", lan = "192.168.1.0/24" }
router.home-b = { nat = "port-restricted-cone", lan = "192.168.2.0/24" }
host.node-a = { on = "home-a", runs = "node", overlay = "100.64.1.10" }
host.node-b = { on = "home-b", runs = "node", overlay = "100.64.2.20" }
"""


def test_the_reference_picture_machine_by_machine() -> None:
    plan = plan_of(loads(NAT_PAIR, "nat-pair.toml"))
    internet, nyc, home_a, home_b, node_a, node_b = plan.machines

    assert internet.interfaces == (
        Interface("lo", ("192.0.2.1/32",), kind="loopback"),
        Interface("nyc"),
        Interface("home-a"),
        Interface("home-b"),
    )
    assert internet.routes == (
        Route("198.51.100.10/32", "nyc"),
        Route("203.0.113.10/32", "home-a"),
        Route("203.0.113.20/32", "home-b"),
    )
    assert internet.rules == ()

    assert nyc.interfaces == (Interface("eth0", ("198.51.100.10/32",)),)
    assert nyc.routes == (ON_INTERNET,)

    assert home_a.interfaces == (
        Interface("wan0", ("203.0.113.10/32",)),
        Interface("lan0", ("192.168.1.1/24",), kind="bridge"),
        Interface("node-a", master="lan0"),
    )
    assert home_a.routes == (Route("default", "wan0", via="192.0.2.1", onlink=True),)
    assert [rules.backend for rules in home_a.rules] == ["iptables"]
    assert ("net.ipv4.ip_forward", "1") in home_a.sysctls
    assert home_b.interfaces[0].addresses == ("203.0.113.20/32",)

    assert node_a.interfaces == (Interface("eth0", ("192.168.1.10/24",)),)
    assert node_a.routes == (Route("default", "eth0", via="192.168.1.1"),)
    assert node_b.routes == (Route("default", "eth0", via="192.168.2.1"),)

    assert [machine.kind for machine in plan.machines] == [
        "internet",
        "relay",
        "router",
        "router",
        "host",
        "host",
    ]


def test_the_reference_picture_s_wires_daemons_and_names() -> None:
    plan = plan_of(loads(NAT_PAIR, "nat-pair.toml"))
    assert plan.wires == (
        Wire("nyc", ("nyc", "eth0"), ("internet", "nyc")),
        Wire("home-a", ("home-a", "wan0"), ("internet", "home-a")),
        Wire("home-b", ("home-b", "wan0"), ("internet", "home-b")),
        Wire("node-a", ("node-a", "eth0"), ("home-a", "node-a")),
        Wire("node-b", ("node-b", "eth0"), ("home-b", "node-b")),
    )
    assert plan.daemons == (
        DaemonPlan(
            "nyc",
            "derper",
            {
                "hostname": "nyc.derp.example",
                "region_id": 900,
                "region_code": "nyc",
            },
        ),
        DaemonPlan(
            "node-a", "node", {"overlay": ["100.64.1.10"], "listen_port": 41641, "region": 900}
        ),
        DaemonPlan(
            "node-b", "node", {"overlay": ["100.64.2.20"], "listen_port": 41641, "region": 900}
        ),
    )
    assert plan.machine("node-a").hosts == (
        ("127.0.0.1", "localhost"),
        ("::1", "localhost"),
        ("198.51.100.10", "nyc.derp.example"),
        ("192.0.2.1", "internet"),
        ("198.51.100.10", "nyc"),
        ("203.0.113.10", "home-a"),
        ("203.0.113.20", "home-b"),
        ("100.64.1.10", "node-a"),
        ("100.64.2.20", "node-b"),
    )
    assert plan.underlay["node-a"] == "192.168.1.10"


def test_a_router_behind_a_router_is_a_port_of_the_upper_lan() -> None:
    plan = plan_of(load("double-nat"))
    assert addresses(plan) == {
        "nyc": ["198.51.100.10/32"],
        "carrier-a": ["203.0.113.10/32", "10.64.0.1/20"],
        "carrier-b": ["203.0.113.20/32", "10.64.16.1/20"],
        "home-a": ["10.64.0.10/20", "192.168.1.1/24"],
        "home-b": ["10.64.16.10/20", "192.168.1.1/24"],
        "node-a": ["192.168.1.10/24"],
        "node-b": ["192.168.1.10/24"],
    }
    assert plan.machine("home-a").routes == (Route("default", "wan0", via="10.64.0.1"),)
    assert Interface("home-a", master="lan0") in plan.machine("carrier-a").interfaces
    assert Wire("home-a", ("home-a", "wan0"), ("carrier-a", "home-a")) in plan.wires
    assert routes_to(plan, "internet") == ["198.51.100.10/32", "203.0.113.10/32", "203.0.113.20/32"]


def test_two_homes_on_one_carrier_are_neighbours_there() -> None:
    text = """
        router.isp = { nat = "symmetric" }
        router.home-a = { nat = "symmetric", upstream = "isp" }
        router.home-b = { nat = "symmetric", upstream = "isp" }
        host.pc-a = { on = "home-a" }
        host.pc-b = { on = "home-b" }
    """
    plan = plan_of(loads(text, "x.toml"))
    assert addresses(plan) == {
        "isp": ["203.0.113.10/32", "10.64.0.1/20"],
        "home-a": ["10.64.0.10/20", "192.168.1.1/24"],
        "home-b": ["10.64.0.11/20", "192.168.2.1/24"],
        "pc-a": ["192.168.1.10/24"],
        "pc-b": ["192.168.2.10/24"],
    }


def test_a_lan_without_nat_is_routed_to_from_all_above_up_to_the_first_nat() -> None:
    text = """
        router.isp = { nat = "open", lan = "10.1.0.0/24" }
        router.home = { nat = "open", lan = "10.2.0.0/24", upstream = "isp" }
        router.room = { nat = "symmetric", lan = "10.3.0.0/24", upstream = "home" }
        router.shed = { nat = "open", lan = "10.4.0.0/24", upstream = "room" }
    """
    plan = plan_of(loads(text, "x.toml"))
    assert plan.machine("internet").routes[1:] == (
        Route("10.1.0.0/24", "isp", via="203.0.113.10", onlink=True),
        Route("10.2.0.0/24", "isp", via="203.0.113.10", onlink=True),
    )
    assert plan.machine("isp").routes[1:] == (Route("10.2.0.0/24", "lan0", via="10.1.0.10"),)
    assert plan.machine("home").routes[1:] == ()
    assert plan.machine("room").routes[1:] == (Route("10.4.0.0/24", "lan0", via="10.3.0.10"),)


def test_a_lan_that_the_internet_routes_to_has_public_addresses() -> None:
    plan = plan_of(loads('router.office = { nat = "open" }\nhost.pc.on = "office"', "x.toml"))
    assert addresses(plan)["pc"] == ["198.19.0.10/24"]


def test_a_host_with_two_uplinks_prefers_the_first() -> None:
    text = """
        router.home = { nat = "symmetric" }
        router.cell = { nat = "symmetric" }
        host.phone = { on = ["home", "cell"] }
        link."phone@cell" = { delay = "40ms", mtu = 1400 }
    """
    plan = plan_of(loads(text, "x.toml"))
    phone = plan.machine("phone")
    assert phone.interfaces == (
        Interface("eth0", ("192.168.1.10/24",)),
        Interface("eth1", ("192.168.2.10/24",), mtu=1400),
    )
    assert phone.routes == (
        Route("default", "eth0", via="192.168.1.1", metric=100),
        Route("default", "eth1", via="192.168.2.1", metric=200),
    )
    for name in ("eth0", "eth1"):  # or the first would be preferred though its cable is out
        assert (f"net.ipv4.conf.{name}.ignore_routes_with_linkdown", "1") in phone.sysctls
    first, second = plan.wires[2:]
    assert first == Wire("phone", ("phone", "eth0"), ("home", "phone"))
    assert (second.name, second.a, second.b) == ("phone@cell", ("phone", "eth1"), ("cell", "phone"))
    assert second.quality.up.delay == 0.04
    assert Interface("phone", master="lan0", mtu=1400) in plan.machine("cell").interfaces


def test_fixed_addresses_are_kept_and_nobody_else_gets_them() -> None:
    text = """
        relay.nyc = { addresses = "44.0.0.1" }
        router.home = { nat = "symmetric", addresses = ["203.0.113.20", "44.0.0.2"] }
        router.next = { nat = "symmetric" }
        router.last = { nat = "symmetric" }
        host.pc = { on = "home", addresses = "192.168.1.10" }
        host.tv = { on = "home" }
        host.server = { addresses = ["192.0.2.80", "192.0.2.81"] }
    """
    fixed = text.replace('nat = "symmetric", add', 'nat = "symmetric", lan = "192.168.1.0/24", add')
    plan = plan_of(loads(fixed, "x.toml"))
    assert addresses(plan) == {
        "nyc": ["44.0.0.1/32"],
        "home": ["203.0.113.20/32", "44.0.0.2/32", "192.168.1.1/24"],
        "next": ["203.0.113.10/32", "192.168.2.1/24"],
        "last": ["203.0.113.30/32", "192.168.3.1/24"],
        "pc": ["192.168.1.10/24"],
        "tv": ["192.168.1.11/24"],
        "server": ["192.0.2.80/32", "192.0.2.81/32"],
    }
    assert Route("44.0.0.2/32", "home") in plan.machine("internet").routes


def test_a_one_to_one_nat_has_an_address_for_each_machine_inside() -> None:
    words = '{ mapping = "one-to-one", filtering = "endpoint-independent" }'
    hosts = "host.a.on = 'cloud'\nhost.b.on = 'cloud'\n"
    plan = plan_of(loads(f"router.cloud.nat = {words}\n{hosts}", "x.toml"))
    assert addresses(plan)["cloud"][:2] == ["203.0.113.10/32", "203.0.113.20/32"]
    with pytest.raises(TopologyError) as caught:
        loads(f"router.cloud = {{ nat = {words}, addresses = '44.0.0.1' }}\n{hosts}", "x.toml")
    problem = "a one-to-one NAT needs an address for each machine inside: 2"
    hint = "give it 2, or leave them out"
    assert str(caught.value) == f"x.toml: router.cloud.addresses: {problem}; {hint}"


def test_a_node_s_home_is_the_first_relay_unless_it_says_otherwise() -> None:
    more = """
        relay.fra = { hostname = "fra.derp.example" }
        host.node-c = { runs = "node", overlay = "100.64.3.30", home = "fra", listen_port = 7 }
        host.web = { runs = "command", argv = ["python3", "-m", "http.server"] }
    """
    plan = plan_of(loads(NAT_PAIR + more, "x.toml"))
    regions = {each.host: each.settings.get("region") for each in plan.daemons}
    assert regions == {
        "nyc": None,
        "fra": None,
        "node-a": 900,
        "node-b": 900,
        "node-c": 901,
        "web": 900,
    }
    assert plan.daemons[1].settings["region_id"] == 901
    assert plan.daemons[4].settings["listen_port"] == 7
    assert plan.daemons[5].settings["argv"] == ["python3", "-m", "http.server"]


def test_a_long_name_fits_an_interface_and_stays_its_own() -> None:
    names = [f"the-very-long-name-of-host-{n}" for n in range(20)]
    text = "\n".join(f"host.{name} = {{}}" for name in names)
    ports = plan_of(loads(text, "x.toml")).machine("internet").interfaces[1:]
    assert len({port.name for port in ports}) == 20
    assert {len(port.name) for port in ports} == {15}
    assert ports[0].name.startswith("the-ve~")


def test_a_link_s_mtu_is_that_of_both_its_ends() -> None:
    plan = plan_of(loads(NAT_PAIR + "link.home-a.mtu = 1280", "x.toml"))
    assert interface(plan.machine("home-a"), "wan0").mtu == 1280
    assert interface(plan.machine("internet"), "home-a").mtu == 1280
    assert interface(plan.machine("home-b"), "wan0").mtu is None
    assert plan.wires[2].quality == PERFECT


def test_a_block_that_runs_out_overflows() -> None:
    text = "\n".join(f"host.h{n} = {{}}" for n in range(300))
    found = [rows[0] for rows in addresses(plan_of(loads(text, "x.toml"))).values()]
    assert found[:3] == ["192.0.2.10/32", "192.0.2.20/32", "192.0.2.30/32"]
    assert found[253:255] == ["198.18.0.1/32", "198.18.0.2/32"]
    assert len(set(found)) == 300


def test_a_machine_added_at_the_end_moves_nobody() -> None:
    before = addresses(plan_of(loads(NAT_PAIR, "x.toml")))
    more = 'router.new = { nat = "symmetric" }\nhost.pc.on = "home-a"\n'
    after = addresses(plan_of(loads(NAT_PAIR + more, "x.toml")))
    assert {name: after[name] for name in before} == before


def test_a_plan_is_the_same_each_time() -> None:
    assert plan_of(load("double-nat")).digest() == plan_of(load("double-nat")).digest()
    other = load("double-nat", {"router.home-a.nat": "symmetric"})
    assert plan_of(other).digest() != plan_of(load("double-nat")).digest()


def addresses(plan: Plan) -> dict[str, list[str]]:
    """What each machine has, the internet left out."""
    return {
        machine.name: [each for port in machine.interfaces for each in port.addresses]
        for machine in plan.machines
        if machine.kind != "internet"
    }


def routes_to(plan: Plan, machine: str) -> list[str]:
    return [route.to for route in plan.machine(machine).routes]


def interface(machine: Machine, name: str) -> Interface:
    return next(each for each in machine.interfaces if each.name == name)


def test_further_arguments_reach_the_daemons() -> None:
    plan = plan_of(
        load("nat-pair", {"relay.nyc.args": '["--tap", "f"]', "host.node-a.args": '["--verbose"]'})
    )

    args = {daemon.host: daemon.settings.get("args") for daemon in plan.daemons}
    assert args == {"nyc": ["--tap", "f"], "node-a": ["--verbose"], "node-b": None}
