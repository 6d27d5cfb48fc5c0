"""Random faults for minutes, by seed: whatever happens, afterwards packets get through again.

Faults: the direct path cut both ways or one way, UDP loss, NATs rebooted, relays killed and brought
back, a node cut from a relay, nodes restarted, links changed, netmaps set again, silence for minutes.
Then everything is mended, and it has to work: no stuck pair, no busy loop, no unbounded growth.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from random import Random
from types import FunctionType, ModuleType

import pytest

from tests.node.nat_model import Nat, full_cone, port_restricted, symmetric
from tests.node.network import Machine, Network

MINUTES = 4
NATS: list[Callable[[str], Nat] | None] = [port_restricted, full_cone, symmetric, None]
MOST_TICKS = 5  # a node and second, on the average
MOST_WEIGHT = 3000  # values held by one mesh, all in all


class Simulation:
    def __init__(self, seed: int) -> None:
        self.net = Network(seed=seed)
        self.dice = self.net.dice
        self.net.add_relay(900, "nyc", "198.51.100.1").keeps = False
        self.net.add_relay(901, "fra", "198.51.100.2").keeps = False
        self.a = self._add("node-a", 1)
        self.b = self._add("node-b", 2)
        self.net.start()
        self.sent = 0

    def _add(self, name: str, number: int) -> Machine:
        make = self.dice.choice(NATS)
        nat = make(f"203.0.113.{number}0") if make else None
        address = f"192.168.{number}.10" if make else f"192.0.2.{number}0"
        return self.net.add_node(name, f"100.64.{number}.{number}0", address=address, nat=nat)

    def run(self, minutes: float) -> None:
        end = self.net.now + 60 * minutes
        while self.net.now < end:
            self.dice.choice(self.faults)()
            self._talk(self.dice.choice((0.1, 0.5, 2.0, 5.0, 20.0)))

    def _talk(self, seconds: float) -> None:
        """One end or both, dense or sparse, or silence."""
        gap = self.dice.choice((0.02, 0.2, 1.0, None))
        talkers = self.dice.choice(([self.a], [self.b], [self.a, self.b]))
        if gap is not None:
            for number in range(int(seconds / gap)):
                self.net.at(self.net.now + number * gap, lambda: self._say(talkers))
        self.net.run(seconds)

    def _say(self, talkers: list[Machine]) -> None:
        for talker in talkers:
            self.sent += 1
            payload = b"%09d" % self.sent
            self.net.send(talker, self.b if talker is self.a else self.a, payload)

    @property
    def faults(self) -> list[Callable[[], None]]:
        return [
            self.cut, self.cut_one_way, self.mend_paths, self.lose, self.reboot_nat,
            self.kill_relay, self.revive_relays, self.cut_relay, self.mend_relays,
            self.restart, self.change_link, self.set_netmaps, self.nothing,
        ]  # fmt: skip

    def cut(self) -> None:
        self.net.cut_direct(self.a, self.b)

    def cut_one_way(self) -> None:
        self.net.cut.add(self.dice.choice((("node-a", "node-b"), ("node-b", "node-a"))))

    def mend_paths(self) -> None:
        self.net.cut.clear()
        self.net.loss = 0.0

    def lose(self) -> None:
        self.net.loss = self.dice.choice((0.01, 0.1, 0.5))

    def reboot_nat(self) -> None:
        nat = self.dice.choice((self.a, self.b)).nat
        if nat is not None:
            nat.reboot()

    def kill_relay(self) -> None:
        self.net.kill(self.dice.choice(list(self.net.relays.values())))

    def revive_relays(self) -> None:
        for relay in self.net.relays.values():
            self.net.revive(relay)

    def cut_relay(self) -> None:
        self.net.cut_relays.add((self.dice.choice(("node-a", "node-b")), 900))

    def mend_relays(self) -> None:
        self.net.cut_relays.clear()

    def restart(self) -> None:
        self.net.restart(self.dice.choice((self.a, self.b)))

    def change_link(self) -> None:
        machine = self.dice.choice((self.a, self.b))
        self.net.perform(machine, machine.mesh.link_changed(self.net.now))

    def set_netmaps(self) -> None:
        for machine in (self.a, self.b):
            netmap = self.net.netmap(machine)
            self.net.perform(machine, machine.mesh.set_netmap(netmap, self.net.now))

    def nothing(self) -> None:
        pass

    def mend(self) -> None:
        self.mend_paths()
        self.mend_relays()
        self.revive_relays()

    def reaches(self, source: Machine, to: Machine, within: float) -> bool:
        """Whether packets of one stream get through, in the end without a gap."""
        before = len(to.received)
        end = self.net.now + within
        while self.net.now < end:
            self._say([source])
            self.net.run(0.1)
            if len(to.received) > before + 20:
                return True
        return False


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happened_packets_get_through_afterwards(seed: int) -> None:
    simulation = Simulation(seed)
    simulation.run(MINUTES)
    simulation.mend()
    a, b = simulation.a, simulation.b
    assert simulation.reaches(a, b, within=30.0), f"seed {seed}: node-a is stuck"
    assert simulation.reaches(b, a, within=30.0), f"seed {seed}: node-b is stuck"

    for machine in (a, b):
        arrived = [payload for _, payload in machine.received]
        assert len(set(arrived)) == len(arrived), f"seed {seed}: a packet arrived twice"
        assert machine.ticks < MOST_TICKS * 60 * MINUTES, f"seed {seed}: a busy loop"
        assert weight(machine.mesh) < MOST_WEIGHT, f"seed {seed}: something grows"


def test_two_idle_nodes_do_nothing() -> None:
    simulation = Simulation(1)
    assert simulation.reaches(simulation.a, simulation.b, within=5.0)
    simulation.net.run(700.0)  # everything that follows from those packets has happened
    ticks, sent = simulation.a.ticks, simulation.a.sent
    simulation.net.run(3600.0)
    assert simulation.a.ticks - ticks < 10
    assert simulation.a.sent == sent


def weight(thing: object) -> int:
    """How many values hang on it: what grows without bound shows here, whatever it is."""
    seen: set[int] = set()
    todo = [thing]
    while todo:
        each = todo.pop()
        if id(each) in seen or isinstance(each, type | ModuleType | FunctionType | Random):
            continue
        seen.add(id(each))
        todo += gc.get_referents(each)
    return len(seen)
