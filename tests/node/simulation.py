"""Two nodes and random faults, by seed, on the in-memory internet: minutes of trouble, or a whole day.

Faults: the direct path cut both ways or one way, flapping, UDP loss, NATs rebooted or replaced, with a
word or without one, relays killed, silent to all and brought back, a node cut from a relay, nodes
restarted, both at once, standing still for up to a minute, links changed, netmaps set again, silence for
minutes. Then everything is mended, and it has to
work: no stuck pair, no busy loop, no unbounded growth, no packet twice.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from random import Random
from types import FunctionType, ModuleType

from tests.node.nat_model import Nat, full_cone, port_restricted, symmetric
from tests.node.network import Machine, Network

NATS: list[Callable[[str], Nat] | None] = [port_restricted, full_cone, symmetric, None]
PEER_RELAY = 0.3  # share of the seeds with a third node that relays
LULL = 0.15  # share of the troubles after which nothing happens for a while
MOST_TICKS = 8  # a node and second, on the average; pings to a peer are paced at 20
MOST_WEIGHT = 3500  # values held by one mesh, all in all


class Simulation:
    def __init__(self, seed: int) -> None:
        self.seed, self.twice, self.flapping_until = seed, 0, 0.0
        self.net = Network(seed=seed)
        self.dice = self.net.dice
        self.net.add_relay(900, "nyc", "198.51.100.1").keeps = False
        self.net.add_relay(901, "fra", "198.51.100.2").keeps = False
        self.a = self._add("node-a", 1)
        self.b = self._add("node-b", 2)
        if self.dice.random() < PEER_RELAY:
            relay = self.net.add_node("node-c", "100.64.3.30", address="192.0.2.30")
            relay.relays_for_peers = True
        self.net.start()
        self.sent = 0
        self.began = self.net.now

    def _add(self, name: str, number: int) -> Machine:
        make = self.dice.choice(NATS)
        nat = make(f"203.0.113.{number}0") if make else None
        address = f"192.168.{number}.10" if make else f"192.0.2.{number}0"
        return self.net.add_node(name, f"100.64.{number}.{number}0", address=address, nat=nat)

    def run(self, minutes: float, *, lulls: bool = False) -> None:
        """With `lulls` as in ordinary life: hours in which hardly anything happens."""
        end = self.net.now + 60 * minutes
        while self.net.now < end:
            self.dice.choice(self.faults)()
            self._talk(self.dice.choice((0.1, 0.5, 2.0, 5.0, 20.0)))
            if lulls and self.dice.random() < LULL:
                self.net.run(self.dice.choice((60.0, 600.0, 3600.0)))
            self._forget()

    def check(self, most_ticks: float = MOST_TICKS) -> None:
        """Everything is mended now: each reaches the other, and nothing has grown or spun."""
        seconds = self.net.now - self.began
        self.mend()
        for one, other in ((self.a, self.b), (self.b, self.a)):
            assert self.reaches(one, other, within=30.0), f"seed {self.seed}: {one.name} is stuck"
        for machine in (self.a, self.b):
            assert not self.twice, f"seed {self.seed}: a packet arrived twice"
            assert machine.ticks < most_ticks * seconds, f"seed {self.seed}: a busy loop"
            assert weight(machine.mesh) < MOST_WEIGHT, f"seed {self.seed}: something grows"

    def _forget(self) -> None:
        """What was received and told, so that a day fits into memory."""
        for machine in self.net.machines.values():
            arrived = [payload for _, payload in machine.received]
            self.twice += len(arrived) - len(set(arrived))
            machine.received.clear()
            machine.events.clear()
            machine.answers.clear()

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
            if self.net.now < talker.frozen_until:
                continue
            self.sent += 1
            payload = b"%09d" % self.sent
            self.net.send(talker, self.b if talker is self.a else self.a, payload)

    @property
    def faults(self) -> list[Callable[[], None]]:
        return [
            self.cut, self.cut_one_way, self.mend_paths, self.lose, self.reboot_nat,
            self.kill_relay, self.revive_relays, self.cut_relay, self.mend_relays,
            self.restart, self.restart_both, self.freeze, self.flap, self.change_link,
            self.change_nat, self.change_address, self.hush_relay, self.set_netmaps, self.nothing,
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

    def hush_relay(self) -> None:
        """It is up and says nothing to anybody: its connections go on, and lead nowhere."""
        region = self.dice.choice(list(self.net.relays))
        self.net.cut_relays |= {(name, region) for name in self.net.machines}

    def revive_relays(self) -> None:
        for relay in self.net.relays.values():
            self.net.revive(relay)

    def cut_relay(self) -> None:
        self.net.cut_relays.add((self.dice.choice(("node-a", "node-b")), 900))

    def mend_relays(self) -> None:
        self.net.cut_relays.clear()

    def restart(self) -> None:
        """Its wall clock may have been set meanwhile: an hour back, or on."""
        machine = self.dice.choice((self.a, self.b))
        machine.epoch += self.dice.choice((-3600.0, 0.0, 0.0, 3600.0))
        self.net.restart(machine)

    def restart_both(self) -> None:
        for machine in (self.a, self.b):
            self.net.restart(machine)

    def freeze(self) -> None:
        machine = self.dice.choice((self.a, self.b))
        self.net.freeze(machine, self.dice.choice((0.3, 1.0, 4.0, 20.0, 60.0)))

    def flap(self) -> None:
        """The direct path goes and comes back, twenty times."""
        self.flapping_until = self.net.now + 6.0
        for number in range(20):
            change = self.cut if number % 2 == 0 else self.mend_paths
            self.net.at(self.net.now + 0.3 * number, change)

    def change_nat(self) -> None:
        """Another uplink: from now on it is seen at another address."""
        machine = self.dice.choice((self.a, self.b))
        if self._move(machine):
            self.net.perform(machine, machine.mesh.link_changed(self.net.now))

    def change_address(self) -> None:
        """The provider's doing: the same uplink is seen elsewhere, and nobody is told."""
        self._move(self.dice.choice((self.a, self.b)))

    def _move(self, machine: Machine) -> bool:
        if machine.nat is not None:
            number = int(machine.nat.address.rpartition(".")[2])
            machine.nat = Nat(f"203.0.113.{10 * (number // 10) + (number + 1) % 10}")
        return machine.nat is not None

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
        quiet = max(self.flapping_until, self.a.frozen_until, self.b.frozen_until)
        self.net.run(max(0.0, quiet - self.net.now))
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
