"""Two nodes on a small internet: from the first packet, over the relay, to a direct path and back."""

from __future__ import annotations

from functools import partial

from tests.node.nat_model import Nat, port_restricted, symmetric
from tests.node.network import Machine, Network


def pair(
    nat_a: Nat | None, nat_b: Nat | None, *, one_way: float = 0.010
) -> tuple[Network, Machine, Machine]:
    net = Network(one_way=one_way)
    net.add_relay(900, "nyc", "198.51.100.1")
    a = net.add_node("node-a", "100.64.1.10", address="192.168.1.10", nat=nat_a)
    b = net.add_node("node-b", "100.64.2.20", address="192.168.2.20", nat=nat_b)
    net.start()
    return net, a, b


def payloads(machine: Machine) -> list[bytes]:
    return [payload for _, payload in machine.received]


def stream(net: Network, a: Machine, b: Machine, count: int, gap: float = 0.01) -> list[bytes]:
    """A hundred packets a second, each with its number."""
    sent = [b"%06d" % number for number in range(count)]
    for number, payload in enumerate(sent):
        net.at(net.now + number * gap, partial(net.send, a, b, payload))
    net.run(count * gap + 1.0)
    return sent


def test_the_first_packet_arrives_over_the_relay() -> None:
    net, a, b = pair(port_restricted("203.0.113.10"), port_restricted("203.0.113.20"))
    net.send(a, b, b"hello")
    took = net.run_until(lambda: payloads(b) == [b"hello"], within=1.0)
    assert a.history(b) == ["relay"]
    assert round(took, 6) == round(3 * 2 * 0.010, 6)  # there, back and there again


def test_two_port_restricted_nats_move_from_relay_to_direct() -> None:
    net, a, b = pair(port_restricted("203.0.113.10"), port_restricted("203.0.113.20"))
    net.send(a, b, b"hello")
    relay_rtt, direct_rtt = 4 * 0.010, 2 * 0.010
    net.run_until(
        lambda: a.kind(b) == "direct" and b.kind(a) == "direct",
        within=2 * relay_rtt + 2 * direct_rtt + 0.050,
    )
    assert (a.history(b), b.history(a)) == (["relay", "direct"], ["relay", "direct"])


def test_no_packet_is_lost_or_doubled_across_the_move() -> None:
    net, a, b = pair(port_restricted("203.0.113.10"), port_restricted("203.0.113.20"))
    sent = stream(net, a, b, 300)
    assert sorted(payloads(b)) == sent  # the first direct ones overtake the last relayed ones
    assert a.history(b) == ["relay", "direct"]


def test_two_symmetric_nats_stay_on_the_relay() -> None:
    net, a, b = pair(symmetric("203.0.113.10"), symmetric("203.0.113.20"))
    sent = stream(net, a, b, 1000)
    assert payloads(b) == sent
    assert (a.history(b), b.history(a)) == (["relay"], ["relay"])
