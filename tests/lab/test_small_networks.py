"""Whatever small network is drawn at random: no two of its addresses clash, and all lead outside."""

from ipaddress import ip_address, ip_interface, ip_network
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.model.layout import plan_of
from lab.model.plan import Machine, Plan
from lab.model.topology import loads
from lab.view.diagrams.mermaid import mermaid
from lab.view.diagrams.picture import draw

NATS = ("open", "port-restricted-cone", "symmetric")
KINDS6 = ("open", "firewall", "firewall-open", "nat66", "nptv6")
NEVER = [
    ip_network(each)
    for each in ("100.64.0.0/10", "127.0.0.0/8", "224.0.0.0/4", "fd7a:115c:a1e0::/48", "ff00::/8")
]
LINK_LOCAL = ip_network("fe80::/10")


@st.composite
def networks(drawn: st.DrawFn) -> str:
    """Routers, each behind an earlier one or none; hosts on up to two of them."""
    lines = [f"relay.r{n} = {{}}" for n in range(drawn(st.integers(1, 2)))]
    routers: dict[str, tuple[str, ...]] = {}  # and which kinds of IPv6 may be below each
    for n in range(drawn(st.integers(0, 5))):
        keys = [f'nat = "{drawn(st.sampled_from(NATS))}"']
        kinds: tuple[str, ...] = KINDS6
        if (upstream := drawn(st.sampled_from([None, *routers]))) is not None:
            keys.append(f'upstream = "{upstream}"')
            kinds = routers[upstream]
        kind = drawn(st.sampled_from([None, *kinds]))
        if kind is not None:
            keys.append(f'ipv6 = "{kind}"')
        lines.append(f"router.n{n} = {{ {', '.join(keys)} }}")
        routers[f"n{n}"] = below(kind, kinds)
    for n in range(drawn(st.integers(0, 5))):
        ons = st.lists(st.sampled_from(sorted(routers)), max_size=2, unique=True)
        on = drawn(ons) if routers else []
        lines.append(f"host.h{n}.on = {on!r}" if on else f"host.h{n} = {{}}")
    return "\n".join(lines)


def below(kind: str | None, kinds: tuple[str, ...]) -> tuple[str, ...]:
    """NPTv6 translates one prefix, so only what hides its own may be below."""
    match kind:
        case None:
            return ()
        case "nptv6":
            return ("nat66",)
        case "nat66":
            return KINDS6
        case _:
            return kinds


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
    assert [len(draw(topology, tall).lines) for tall in (False, True)] == [len(plan.wires)] * 2


def assert_no_clash(machine: Machine) -> None:
    """Networks of one machine are apart, or a packet would not know its way."""
    by_port = {port.name: list(map(ip_interface, port.addresses)) for port in machine.interfaces}
    interfaces = [each for addresses in by_port.values() for each in addresses]
    known = [each.network for each in interfaces if each.ip not in LINK_LOCAL]
    for one, other in combinations(known, 2):
        assert not one.overlaps(other)
    routes = [route.to for route in machine.routes if route.to != "default"]
    assert len(set(routes)) == len(routes)
    for route in machine.routes:
        if route.via and not route.onlink:
            assert any(ip_address(route.via) in each.network for each in by_port[route.dev])
            assert all(ip_address(route.via) != each.ip for each in by_port[route.dev])
    assert not any(each.overlaps(block) for each in known for block in NEVER)


def assert_one_default(machine: Machine) -> None:
    """Of each family, on each uplink that has an address of it."""
    defaults = [route for route in machine.routes if route.to == "default"]
    uplinks = [port for port in machine.interfaces if port.name.startswith(("eth", "wan"))]
    for is_ipv6 in (False, True):
        ways = [route for route in defaults if (":" in str(route.via)) == is_ipv6]
        assert [route.dev for route in ways] == [
            port.name
            for port in uplinks
            if any((":" in each) == is_ipv6 for each in port.addresses)
        ]
        assert len({route.metric for route in ways}) == len(ways)


def assert_lans_are_disjoint(plan: Plan) -> None:
    """Within each wire's upper LAN, every machine's address is its own, and in the LAN's network."""
    seen: set[tuple[str, str]] = set()
    for wire in plan.wires:
        lower = next(each for each in plan.machine(wire.a[0]).interfaces if each.name == wire.a[1])
        for address in lower.addresses:
            if wire.b[0] == "internet" and ip_interface(address).ip in LINK_LOCAL:
                continue  # each wire is a link of its own
            key = (wire.b[0], address.split("/")[0])
            assert key not in seen
            seen.add(key)
            if wire.b[0] != "internet":
                [lan] = [each for each in plan.machine(wire.b[0]).interfaces if each.name == "lan0"]
                networks = [ip_interface(each).network for each in lan.addresses]
                assert ip_interface(address).network in networks
                assert address not in lan.addresses


def assert_wires_fit(plan: Plan) -> None:
    """Each veth of a machine is one end of one wire."""
    ends = [end for wire in plan.wires for end in (wire.a, wire.b)]
    ports = [
        (m.name, port.name) for m in plan.machines for port in m.interfaces if port.kind == "veth"
    ]
    assert sorted(ends) == sorted(ports)
    assert all(len(name) <= 15 for _, name in ends)
