"""A plan goes to JSON and back without a change, and says so by its digest."""

from dataclasses import replace

import pytest

from lab.errors import NoSuchMachine
from lab.model.link import LinkQuality, Shape
from lab.model.plan import DaemonPlan, Interface, Machine, Plan, Route, Ruleset, Wire

HOME = Machine(
    name="home-a",
    kind="router",
    interfaces=(
        Interface("wan0", ("203.0.113.10/32",)),
        Interface("lan0", ("192.168.1.1/24",), kind="bridge"),
        Interface("node-a", master="lan0", mtu=1400),
    ),
    routes=(Route("default", "wan0", via="192.0.2.1", onlink=True, metric=100),),
    rules=(Ruleset("iptables", "*nat\nCOMMIT\n", "plain"),),
    sysctls=(("net.ipv4.ip_forward", "1"),),
    hosts=(("198.51.100.10", "nyc.derp.example"),),
)
PLAN = Plan(
    topology="one-home",
    title="One home",
    drawing="node-a -- home-a",
    machines=(HOME,),
    wires=(
        Wire(
            "home-a",
            ("home-a", "wan0"),
            ("internet", "home-a"),
            LinkQuality(up=Shape(delay=0.02), down=Shape(rate=20_000_000), mtu=1400),
        ),
    ),
    daemons=(DaemonPlan("node-a", "node", {"overlay": ["100.64.1.10"], "listen_port": 41641}),),
    underlay={"home-a": "203.0.113.10"},
)


def test_a_plan_comes_back_from_json_as_it_was() -> None:
    assert Plan.from_json(PLAN.to_json()) == PLAN


def test_the_json_does_not_depend_on_the_order_of_a_dictionary() -> None:
    turned = replace(PLAN, underlay={"b": "1", "a": "2"})
    assert turned.to_json() == replace(PLAN, underlay={"a": "2", "b": "1"}).to_json()


def test_two_plans_that_differ_in_one_rule_have_two_digests() -> None:
    other = replace(HOME, rules=(Ruleset("iptables", "*nat\nCOMMIT\n#\n", "plain"),))
    assert replace(PLAN, machines=(other,)).digest() != PLAN.digest()
    assert len(PLAN.digest()) == 64


def test_equal_hosts_files_are_written_once() -> None:
    many = tuple(replace(HOME, name=f"home-{n}") for n in range(100))
    assert replace(PLAN, machines=many).to_json().count("nyc.derp.example") == 1
    assert Plan.from_json(replace(PLAN, machines=many).to_json()).machines == many


def test_a_machine_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(NoSuchMachine) as error:
        PLAN.machine("home-b")
    assert str(error.value) == "there is no machine home-b in this lab\nit has: home-a"
