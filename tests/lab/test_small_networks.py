"""Whatever small network is drawn at random: no two of its addresses clash, and all lead outside."""

from ipaddress import IPv4Interface, IPv4Network, ip_address, ip_network
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.model.layout import plan_of
from lab.model.plan import Machine, Plan
from lab.model.topology import loads
from lab.view.mermaid import mermaid

NATS = ("open", "port-restricted-cone", "symmetric")
NEVER = [ip_network(each) for each in ("100.64.0.0/10", "127.0.0.0/8", "224.0.0.0/4")]


@st.composite
def networks(draw: st.DrawFn) -> str:
    """Routers, each behind an earlier one or none; hosts on up to two of them."""
    lines = [f"relay.r{n} = {{}}" for n in range(draw(st.integers(1, 2)))]
    routers: list[str] = []
    for n in range(draw(st.integers(0, 5))):
        keys = [f'nat = "{draw(st.sampled_from(NATS))}"']
        if (upstream := draw(st.sampled_from([None, *routers]))) is not None:
            keys.append(f'upstream = "{upstream}"')
        lines.append(f"router.n{n} = {{ {', '.join(keys)} }}")
        routers.append(f"n{n}")
    for n in range(draw(st.integers(0, 5))):
        on = draw(st.lists(st.sampled_from(routers), max_size=2, unique=True)) if routers else []
        lines.append(f"host.h{n}.on = {on!r}" if on else f"host.h{n} = {{}}")
    return "\n".join(lines)


@settings(max_examples=60, deadline=None)
@given(networks())
def test_every_small_network_is_sound(text: str) -> None:
    topology = loads(text, "random.toml")
    plan = plan_of(topology)

    for machine in plan.machines:
        assert_no_clash(machine)
        if machine.kind != "internet":
            assert_one_default(machine)
    assert_lans_are_disjoint(plan)
    assert_wires_fit(plan)
    assert Plan.from_json(plan.to_json()) == plan
    assert mermaid(topology).count(" --- ") == len(plan.wires)


def assert_no_clash(machine: Machine) -> None:
    """Networks of one machine are apart, or a packet would not know its way."""
    interfaces = [IPv4Interface(each) for port in machine.interfaces for each in port.addresses]
    for one, other in combinations(interfaces, 2):
        assert not one.network.overlaps(other.network)
    routes = [route.to for route in machine.routes if route.to != "default"]
    assert len(set(routes)) == len(routes)
    for route in machine.routes:
        if route.via and not route.onlink:
            assert any(ip_address(route.via) in each.network for each in interfaces)
    assert not any(each.network.overlaps(block) for each in interfaces for block in NEVER)


def assert_one_default(machine: Machine) -> None:
    defaults = [route for route in machine.routes if route.to == "default"]
    uplinks = [port for port in machine.interfaces if port.name.startswith(("eth", "wan"))]
    assert [route.dev for route in defaults] == [port.name for port in uplinks]
    assert len({route.metric for route in defaults}) == len(defaults)


def assert_lans_are_disjoint(plan: Plan) -> None:
    """Within each wire's upper LAN, every machine's address is its own."""
    seen: dict[tuple[str, str], str] = {}
    for wire in plan.wires:
        lower = next(each for each in plan.machine(wire.a[0]).interfaces if each.name == wire.a[1])
        for address in lower.addresses:
            key = (wire.b[0], address.split("/")[0])
            assert key not in seen
            seen[key] = wire.name
            if wire.b[0] != "internet":
                [lan] = [each for each in plan.machine(wire.b[0]).interfaces if each.name == "lan0"]
                network = IPv4Network(lan.addresses[0], strict=False)
                assert IPv4Interface(address).network == network
                assert address != lan.addresses[0]


def assert_wires_fit(plan: Plan) -> None:
    """Each veth of a machine is one end of one wire."""
    ends = [end for wire in plan.wires for end in (wire.a, wire.b)]
    ports = [
        (m.name, port.name) for m in plan.machines for port in m.interfaces if port.kind == "veth"
    ]
    assert sorted(ends) == sorted(ports)
    assert all(len(name) <= 15 for _, name in ends)
