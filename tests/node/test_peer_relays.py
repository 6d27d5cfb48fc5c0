"""Two nodes that cannot meet, a third that passes datagrams on, and DERP for when it does not."""

from __future__ import annotations

import pytest

from node.wire.classify import Kind, classify
from node.wire.endpoint import Endpoint
from tests.node.nat_model import port_restricted, symmetric
from tests.node.network import Machine, Network


class Street(Network):
    """a and b behind symmetric NATs, c on the internet."""

    def __init__(self, *, serves: bool = True, seed: int = 1) -> None:
        super().__init__(seed=seed)
        self.add_relay(900, "nyc", "198.51.100.1")
        self.a = self._home("node-a", 1)
        self.b = self._home("node-b", 2)
        self.c = self.add_node("node-c", "100.64.3.30", address="192.0.2.30")
        self.c.relays_for_peers = serves
        self.start()

    def _home(self, name: str, number: int) -> Machine:
        nat = symmetric(f"203.0.113.{number}0")
        overlay, address = f"100.64.{number}.{number}0", f"192.168.{number}.10"
        return self.add_node(name, overlay, address=address, nat=nat)

    def talk(self, seconds: float, gap: float = 0.1) -> None:
        for number in range(int(seconds / gap)):
            self.at(self.now + number * gap, self.say)
        self.run(seconds)

    def say(self) -> None:
        for one, other in ((self.a, self.b), (self.b, self.a)):
            self.send(one, other, b"%d" % self.now)

    @property
    def kinds(self) -> tuple[str, str]:
        return self.a.kind(self.b), self.b.kind(self.a)


def test_two_that_cannot_meet_move_from_derp_to_the_peer_relay() -> None:
    net = Street()
    net.talk(5.0)
    assert net.a.history(net.b) == ["relay", "peer-relay"]
    assert net.b.history(net.a) == ["relay", "peer-relay"]
    event = net.a.events_of("path")[-1]
    assert str(event.fields["via"]).startswith("192.0.2.30:41641:vni:")
    arrived = len(net.b.received)
    net.relays[900].carried.clear()
    net.talk(5.0)
    assert len(net.b.received) - arrived == 50
    assert [p for _, p in net.relays[900].carried if classify(p) is Kind.WIREGUARD] == []


def test_without_a_node_that_relays_they_stay_on_derp() -> None:
    net = Street(serves=False)
    net.talk(10.0)
    assert net.kinds == ("relay", "relay")
    assert net.c.sent <= 10


def test_only_one_has_anything_to_say_and_both_use_the_peer_relay() -> None:
    net = Street()
    for number in range(50):
        net.at(net.now + 0.1 * number, lambda: net.send(net.a, net.b, b"data"))
    net.run(5.0)
    assert net.kinds == ("peer-relay", "peer-relay")


def test_who_can_meet_never_asks_for_a_peer_relay() -> None:
    net = Street()
    for machine, number in ((net.a, 1), (net.b, 2)):
        machine.nat = port_restricted(f"203.0.113.{number}0")
        net.restart(machine)
    net.run(1.0)
    net.talk(10.0)
    assert net.kinds == ("direct", "direct")
    assert net.c.mesh.all_counters["peer_relay_bound"] == 0


def test_a_direct_way_that_opens_later_is_taken_instead() -> None:
    net = Street()
    net.talk(5.0)
    assert net.kinds == ("peer-relay", "peer-relay")
    for machine in (net.a, net.b):  # both routers are replaced by kinder ones
        assert machine.nat is not None
        machine.nat = port_restricted(machine.nat.address)
        net.perform(machine, machine.mesh.link_changed(net.now))
    net.talk(10.0)
    assert net.kinds == ("direct", "direct")


def test_a_peer_relay_that_goes_away_is_left_for_derp_within_a_second() -> None:
    net = Street()
    net.talk(5.0)
    net.cut_direct(net.a, net.c)
    net.cut_direct(net.b, net.c)
    at = net.now
    net.talk(3.0)
    for one, other in ((net.a, net.b), (net.b, net.a)):
        assert one.history(other) == ["relay", "peer-relay", "relay"]
        [left] = [t for t, e in one.events if e.name == "path" and t > at]
        assert left - at < 1.0


@pytest.mark.parametrize("outage", [3.0, 40.0])
def test_and_is_back_when_it_is_back(outage: float) -> None:
    net = Street()
    net.talk(5.0)
    for one in (net.a, net.b):
        net.cut_direct(one, net.c)
    net.talk(outage)
    assert net.kinds == ("relay", "relay")
    for one in (net.a, net.b):
        net.mend_direct(one, net.c)
    net.talk(4.0)
    assert net.kinds == ("peer-relay", "peer-relay")


def test_a_peer_relay_that_restarts_is_asked_again() -> None:
    net = Street()
    net.talk(5.0)
    net.restart(net.c)
    net.talk(2.0)
    assert net.kinds == ("relay", "relay")
    net.talk(20.0)
    assert net.kinds == ("peer-relay", "peer-relay")


def test_a_rebooted_nat_is_another_address_for_the_peer_relay_too() -> None:
    net = Street()
    net.talk(5.0)
    assert net.a.nat is not None
    net.a.nat.reboot()
    net.talk(20.0)
    assert net.kinds == ("peer-relay", "peer-relay")


def test_after_a_long_silence_the_first_packet_goes_by_derp_and_the_rest_does_not() -> None:
    net = Street()
    net.talk(5.0)
    net.run(3600.0)
    assert len(net.c.mesh.peer_relays.server or ()) == 0
    before = len(net.b.received)
    net.talk(5.0)
    assert len(net.b.received) - before >= 49  # the handshake's own second included
    assert net.kinds == ("peer-relay", "peer-relay")


def test_a_person_sees_the_peer_relay_in_ping_and_status() -> None:
    net = Street()
    net.talk(5.0)
    net.ping(net.a, net.b, ask=1)
    net.run(1.0)
    [(_, answer)] = net.a.answers
    [state] = [p for p in net.a.mesh.status(net.now).peers if p.name == "node-b"]
    assert (state.kind, state.via) == ("peer-relay", str(answer.via))
    assert state.rtt_ms is not None


def test_traffic_through_a_peer_relay_is_counted_as_such() -> None:
    net = Street()
    net.talk(5.0)
    sent, received = net.a.mesh.all_counters, net.b.mesh.all_counters
    for unit in ("packets", "bytes"):
        count = sent[f"outbound_{unit}_peer_relay_ipv4"]
        assert count == received[f"inbound_{unit}_peer_relay_ipv4"] > 0
    assert sent["outbound_packets_direct_ipv4"] == 0


def test_strangers_get_nothing_out_of_a_peer_relay() -> None:
    net = Street()
    net.talk(5.0)
    stranger = Endpoint("203.0.113.99", 1)
    for raw in (
        b"\x00\x00\x7a\x12\x00\x00\x01\x00data",
        b"\x00\x80\x7a\x11\x00\x00\x01\x00" * 9,
        b"\x00\x40\x7a\x12\x00\x00\x01\x00",  # a reserved bit
        b"\x01\x00\x7a\x12\x00\x00\x01\x00",  # options
    ):
        assert net.c.mesh.receive_udp([raw], stranger, net.now) == []
        assert net.a.mesh.receive_udp([raw], stranger, net.now) == []
