"""NATs that give out ports one after the other: the next ones are guessed, and told to the peer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from node.core.port_prediction import moves, next_endpoints
from node.wire.endpoint import Endpoint
from tests.node.nat_model import Nat, port_restricted, symmetric
from tests.node.network import Machine, Network

HOME = "203.0.113.10"


def scattered(address: str) -> Nat:
    """Symmetric, and no port is near the one before."""
    nat = symmetric(address)
    nat.step = 997
    return nat


@pytest.mark.parametrize(
    ("seen", "guessed"),
    [
        ([40010, 40011], range(40012, 40020)),
        ([40014, 40010], range(40015, 40023)),  # others behind the NAT took some between
        ([40010], []),  # one server alone shows no kind of NAT
        ([40010, 40010], []),  # the mapping does not move
        ([40010, 51234], []),  # random: to guess is no use
        ([65533, 65534], [65535]),
        ([65534, 65535], []),
    ],
)
def test_the_ports_after_the_last_one_are_next(seen: list[int], guessed: list[int]) -> None:
    endpoints = next_endpoints([Endpoint(HOME, port) for port in seen])

    assert [each.port for each in endpoints] == list(guessed)
    assert {each.address for each in endpoints} <= {HOME}


def test_of_a_nat_with_two_addresses_nothing_is_guessed() -> None:
    assert next_endpoints([Endpoint(HOME, 40010), Endpoint("203.0.113.11", 40011)]) == ()


def test_who_names_two_ports_of_one_address_has_a_mapping_that_moves() -> None:
    lan, outside = Endpoint("192.168.1.10", 41641), Endpoint(HOME, 40010)

    assert not moves([lan, outside])
    assert moves([lan, outside, Endpoint(HOME, 40011)])


@pytest.mark.parametrize("first", [0, 1])
def test_a_nat_that_counts_meets_a_port_restricted_one_whoever_begins(first: int) -> None:
    net, a, b = homes(symmetric(HOME), port_restricted("203.0.113.20"))
    one, other = ((a, b), (b, a))[first]

    net.send(one, other, b"hello")
    net.run_until(lambda: a.kind(b) == "direct" and b.kind(a) == "direct", within=1.0)

    assert b.events_of("path")[-1].fields["via"] in [f"{HOME}:{50002 + n}" for n in range(8)]


def test_guesses_are_no_endpoints_of_ours() -> None:
    _, a, _ = homes(symmetric(HOME), port_restricted("203.0.113.20"))

    told = a.events_of("endpoints")[-1].fields["endpoints"]
    forwarded = "203.0.113.10:41641"  # if anybody has set it up
    assert told == ["203.0.113.10:50001", "203.0.113.10:50000", forwarded, "192.168.1.10:41641"]


@pytest.mark.parametrize(
    ("nat_a", "nat_b", "relays"),
    [
        pytest.param(partial(symmetric, HOME), port_restricted, 1, id="one server, so not known"),
        pytest.param(partial(scattered, HOME), port_restricted, 2, id="random ports"),
        pytest.param(partial(symmetric, HOME), symmetric, 2, id="both count: each guess takes one"),
    ],
)
def test_without_a_good_guess_the_relay_is_the_way(
    nat_a: Callable[[], Nat], nat_b: Callable[[str], Nat], relays: int
) -> None:
    net, a, b = homes(nat_a(), nat_b("203.0.113.20"), relays)

    for second in range(30):
        net.at(net.now + second, partial(net.send, a, b, b"hello"))
    net.run(30.0)

    assert (a.history(b), b.history(a)) == (["relay"], ["relay"])


def homes(nat_a: Nat, nat_b: Nat, relays: int = 2) -> tuple[Network, Machine, Machine]:
    net = Network()
    for number in range(relays):
        net.add_relay(900 + number, f"r{number}", f"198.51.100.{1 + number}")
    a = net.add_node("node-a", "100.64.1.10", address="192.168.1.10", nat=nat_a)
    b = net.add_node("node-b", "100.64.2.20", address="192.168.2.20", nat=nat_b)
    net.start()
    return net, a, b
