"""Whatever happens to the network or to a node: data goes on, and no daemon needs a restart."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import pytest
from msgspec.structs import replace

from node.wire.endpoint import Endpoint
from tests.node.nat_model import port_restricted
from tests.node.network import Machine, Network


class Town(Network):
    """Two homes behind ordinary NATs, two relays."""

    def __init__(self) -> None:
        super().__init__()
        self.nyc = self.add_relay(900, "nyc", "198.51.100.1")
        self.fra = self.add_relay(901, "fra", "198.51.100.2")
        self.a = self._home("node-a", 1)
        self.b = self._home("node-b", 2)
        self.start()

    def _home(self, name: str, number: int) -> Machine:
        overlay, address = f"100.64.{number}.{number}0", f"192.168.{number}.10"
        nat = port_restricted(f"203.0.113.{number}0")
        return self.add_node(name, overlay, address=address, nat=nat)

    def talk(self, seconds: float, gap: float = 0.1) -> None:
        for number in range(round(seconds / gap)):
            self.at(self.now + number * gap, self._say)
        self.run(seconds)

    def _say(self) -> None:
        for one, other in ((self.a, self.b), (self.b, self.a)):
            if self.now >= one.frozen_until:
                self.send(one, other, b"%.3f" % self.now)

    def silence(self, machine: Machine, since: float) -> float:
        """The longest time for which nothing arrived there."""
        times = [since, *(t for t, _ in machine.received if t > since), self.now]
        return max(b - a for a, b in pairwise(times))

    @property
    def kinds(self) -> tuple[str, str]:
        return self.a.kind(self.b), self.b.kind(self.a)


@pytest.fixture
def town() -> Town:
    net = Town()
    net.talk(5.0)
    assert net.kinds == ("direct", "direct")
    return net


def test_mappings_that_expired_while_idle_cost_the_first_packet_nothing(town: Town) -> None:
    town.run(120.0)  # the NATs forget after 30 s
    at = town.now
    town.talk(5.0)
    for machine in (town.a, town.b):
        assert town.silence(machine, at) < 0.3
    assert town.kinds == ("direct", "direct")


def test_a_rebooted_router_interrupts_for_less_than_a_second(town: Town) -> None:
    assert town.a.nat is not None
    town.a.nat.reboot()
    at = town.now
    town.talk(6.0)
    for machine in (town.a, town.b):
        assert town.silence(machine, at) < 1.0
    assert town.kinds == ("direct", "direct")


def test_a_new_public_address_that_nobody_tells_us_of(town: Town) -> None:
    town.a.nat = port_restricted("203.0.113.77")  # the provider's doing: our own link is the same
    at = town.now
    town.talk(8.0)
    for machine in (town.a, town.b):
        assert town.silence(machine, at) < 1.0
    assert town.kinds == ("direct", "direct")
    assert str(town.b.events_of("path")[-1].fields["via"]).startswith("203.0.113.77:")


def test_another_uplink_with_another_address_of_our_own(town: Town) -> None:
    town.a.nat, town.a.endpoint = None, Endpoint("192.0.2.77", 41641)
    town.perform(town.a, town.a.mesh.link_changed(town.now, [town.a.endpoint]))
    at = town.now
    town.talk(5.0)
    for machine in (town.a, town.b):
        assert town.silence(machine, at) < 0.5
    assert town.kinds == ("direct", "direct")
    assert town.b.events_of("path")[-1].fields["via"] == "192.0.2.77:41641"


def test_a_path_that_flaps_loses_little_and_settles_when_it_is_quiet_again(town: Town) -> None:
    for number in range(20):
        change = town.cut_direct if number % 2 == 0 else town.mend_direct
        town.at(town.now + number, partial(change, town.a, town.b))
    at = town.now
    town.talk(40.0)
    for machine in (town.a, town.b):
        assert town.silence(machine, at) < 1.0
        assert len(machine.events_of("path")) < 24
    assert town.kinds == ("direct", "direct")


@pytest.mark.parametrize("seconds", [0.5, 3.0, 60.0])
def test_a_node_that_was_suspended_goes_on_at_once(town: Town, seconds: float) -> None:
    town.freeze(town.a, seconds)
    town.talk(seconds)
    at = town.now
    town.talk(6.0)
    for machine in (town.a, town.b):
        assert town.silence(machine, at) < 0.5
    assert town.kinds == ("direct", "direct")
    rtts = [event.fields["rtt_ms"] for event in town.a.events_of("path")]
    assert max(float(rtt) for rtt in rtts if isinstance(rtt, float)) < 50


def test_both_suspended_at_the_same_time(town: Town) -> None:
    for machine in (town.a, town.b):
        town.freeze(machine, 600.0)
    town.run(600.0)
    at = town.now
    town.talk(10.0)
    for machine in (town.a, town.b):
        assert town.silence(machine, at) < 1.0
    assert town.kinds == ("direct", "direct")


def test_all_relays_gone_a_direct_path_carries_on_and_the_relays_come_back(town: Town) -> None:
    for relay in (town.nyc, town.fra):
        town.kill(relay)
    at = town.now
    town.talk(60.0)
    for machine in (town.a, town.b):
        assert town.silence(machine, at) < 0.3
    assert town.kinds == ("direct", "direct")

    town.cut_direct(town.a, town.b)
    town.talk(5.0)
    before = len(town.b.received)
    town.talk(1.0)
    assert len(town.b.received) == before  # the control: nothing is left
    for relay in (town.nyc, town.fra):
        town.revive(relay)
    town.talk(10.0)
    assert town.kinds == ("relay", "relay")
    assert len(town.b.received) > before + 20


def test_a_relay_that_one_of_them_has_lost_for_good_is_avoided_by_both(town: Town) -> None:
    town.cut_direct(town.a, town.b)
    town.talk(3.0)
    town.run(100.0)  # idle: nobody misses anything
    town.cut_relays.add(("node-a", 900))  # and nobody is told
    town.talk(18.0)  # node-b looks elsewhere once its handshakes stay without an answer
    before = len(town.b.received), len(town.a.received)
    town.talk(2.0)
    assert (len(town.b.received) - before[0], len(town.a.received) - before[1]) == (20, 20)
    town.talk(60.0)
    assert len(town.b.received) - before[0] == 620
    assert town.kinds == ("relay", "relay")


def test_a_node_that_its_home_has_thrown_out_is_looked_for_elsewhere_at_once(town: Town) -> None:
    town.cut_direct(town.a, town.b)
    town.talk(3.0)
    town.throw_out(town.a, town.nyc)
    at = town.now
    town.talk(5.0)
    for machine in (town.a, town.b):
        assert town.silence(machine, at) < 1.0
    assert town.kinds == ("relay", "relay")


def test_a_netmap_with_another_home_for_the_peer(town: Town) -> None:
    town.b.home_region = 901
    for machine in (town.a, town.b):
        town.perform(machine, machine.mesh.set_netmap(town.netmap(machine), town.now))
    town.cut_direct(town.a, town.b)
    at = town.now
    town.talk(5.0)
    for machine in (town.a, town.b):
        assert town.silence(machine, at) < 1.5
    assert town.kinds == ("relay", "relay")


def test_a_netmap_without_the_relay_that_was_home(town: Town) -> None:
    town.cut_direct(town.a, town.b)
    town.talk(3.0)
    for machine in (town.a, town.b):
        netmap = town.netmap(machine)
        regions = {901: netmap.regions[901]}
        peers = tuple(replace(peer, home_region=901) for peer in netmap.peers)
        changed = replace(netmap, regions=regions, peers=peers)
        town.perform(machine, machine.mesh.set_netmap(changed, town.now))
    at = town.now
    town.talk(5.0)
    for machine in (town.a, town.b):
        assert town.silence(machine, at) < 1.5
        assert machine.connections == {901}
