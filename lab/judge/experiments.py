"""The experiments: each asks one router one question, with sockets on both its sides.

Outside are two addresses with two ports each, `outside[a][p]`; the inside opens a new socket for
each question, so that no answer depends on an earlier one. Nothing here knows what was declared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lab.judge.measured import mapping_of, ports_of
from lab.judge.stage import Endpoint, Socket, Stage
from lab.model.words import Mapping, Ports

TRIES = 3  # a packet may be lost, and nftables refuses one where the dice gave a port that is taken
MAPPING_SOCKETS = 3
PORT_SOCKETS = 24  # random ports all of the inside's parity: once in 16 million times
CLOSED_PORT = 9  # discard: nobody listens there
COLLIDING_PORTS = range(20001, 20005)


@dataclass(frozen=True, slots=True)
class Inside:
    """One address of a host behind the router."""

    machine: str
    address: str
    device: str = ""  # for a host with several uplinks


@dataclass(slots=True)
class Bench:
    stage: Stage
    inside: Sequence[Inside]
    outside: Sequence[Sequence[Socket]]
    patience: float = 0.5  # seconds: more than a round trip

    def socket(self, host: int = 0, port: int = 0) -> Socket:
        where = self.inside[min(host, len(self.inside) - 1)]
        return self.stage.open(where.machine, where.address, port, where.device)

    def reach(self, inside: Socket, outside: Socket) -> Endpoint | None:
        """Sends out; the external endpoint that was seen there, None if nothing came."""
        text = self.stage.tag()
        for patience in self._patiences():
            inside.send(outside.here, text)
            if (source := self.hears(outside, text, patience)) is not None:
                return source
        return None

    def must_reach(self, inside: Socket, outside: Socket) -> Endpoint:
        source = self.reach(inside, outside)
        if source is None:
            raise Unreachable(f"{inside.here} in {inside.machine} does not reach {outside.here}")
        return source

    def comes_in(self, inside: Socket, knocks: Sequence[tuple[Socket, Endpoint]]) -> list[bool]:
        """Which of these get in, tried in order. The last is to be one that surely does: when it
        is there, the others have had their chance."""
        texts = [self.stage.tag() for _ in knocks]
        for patience in self._patiences():
            for (outside, to), text in zip(knocks, texts, strict=True):
                outside.send(to, text)
            if self.hears(inside, texts[-1], patience) is not None:
                if not all(inside.heard(text) for text in texts):
                    self.stage.settle()  # the last may have overtaken another by a hair
                return [inside.heard(text) for text in texts]
        raise Unreachable(f"no answer from {knocks[-1][0].here} comes back through {knocks[-1][1]}")

    def hears(self, ears: Socket, text: str, within: float) -> Endpoint | None:
        """Silence counts only once every puppet has sent what it was to, and told what it got."""
        source = ears.hear(text, within)
        if source is None:
            self.stage.settle()
            source = ears.hear(text, 0.0)
        return source

    def _patiences(self) -> list[float]:
        return [self.patience * 2**n for n in range(TRIES)]


class Unreachable(Exception):
    """What must pass for the question to make sense did not."""


def passes_udp(bench: Bench) -> bool:
    return bench.reach(bench.socket(), bench.outside[0][0]) is not None


def mapping(bench: Bench) -> Mapping:
    """RFC 4787 §4.1, the same question to some sockets: chance may make two mappings look one."""
    found: list[Mapping] = []
    for _ in range(MAPPING_SOCKETS):
        inside = bench.socket()
        seen = [[bench.must_reach(inside, port) for port in ports] for ports in bench.outside]
        found.append(mapping_of(inside.here, seen))
    order = ["address-and-port-dependent", "address-dependent", "endpoint-independent", "none"]
    return min(found, key=order.index)


def admits(bench: Bench) -> tuple[bool, bool]:
    """Whether (another address, another port) may send to the mapping of outside[0][0]."""
    inside, (asked, other_port) = bench.socket(), bench.outside[0]
    mapped = bench.must_reach(inside, asked)
    knocks = [(bench.outside[1][1], mapped), (other_port, mapped), (asked, mapped)]
    other_address, same_address, _ = bench.comes_in(inside, knocks)
    return other_address, same_address


def before_the_first(bench: Bench) -> tuple[bool, bool]:
    """A packet from outside to a port that nobody inside has used yet.

    Whether it comes in; and whether the inside then still gets that port for the same outside. One that
    somebody else has by chance is not kept either, so a few may be asked.
    """
    came_in = kept = False
    for _ in range(TRIES):
        came_in, kept = _too_early(bench)
        if came_in or kept:
            break
    return came_in, kept


def _too_early(bench: Bench) -> tuple[bool, bool]:
    known, inside, outside = bench.socket(), bench.socket(), bench.outside[0][0]
    mapped = bench.must_reach(known, outside)
    wanted = Endpoint(mapped.address, inside.here.port)
    text = bench.stage.tag()
    outside.send(wanted, text)
    bench.comes_in(known, [(outside, mapped)])  # so it has been at the router, and before ours
    kept = bench.must_reach(inside, outside) == wanted
    if kept:
        bench.comes_in(inside, [(outside, wanted)])
    return inside.heard(text), kept


def permits_by_endpoint(bench: Bench) -> bool:
    """Whether who was sent to through one mapping may answer to another of the same socket."""
    inside, (here, _), (there, _) = bench.socket(), *bench.outside
    mapped = bench.must_reach(inside, here)
    bench.must_reach(inside, there)
    return bench.comes_in(inside, [(there, mapped), (here, mapped)])[0]


def hairpins(bench: Bench) -> bool:
    """RFC 4787 §6: an inside host sends to another's external endpoint."""
    one, other, outside = bench.socket(0), bench.socket(1), bench.outside[0][0]
    bench.must_reach(one, outside)
    mapped = bench.must_reach(other, outside)
    text = bench.stage.tag()
    for _ in range(TRIES):
        one.send(mapped, text)
        bench.must_reach(one, outside)  # so it has been at the router
        bench.comes_in(other, [(outside, mapped)])  # and would have been here by now
        if other.heard(text):
            return True
    return False


def ports(bench: Bench) -> tuple[Ports, set[str]]:
    """How ports are given to new mappings; and the external addresses that were seen."""
    pairs, addresses = [], set()
    for _ in range(PORT_SOCKETS):
        inside = bench.socket()
        mapped = bench.must_reach(inside, bench.outside[0][0])
        pairs.append((inside.here.port, mapped.port))
        addresses.add(mapped.address)
    return ports_of(pairs), addresses


def hears_icmp(bench: Bench) -> bool:
    """Whether "port unreachable" finds the socket that it is about."""
    inside, outside = bench.socket(), bench.outside[0][0]
    closed = Endpoint(outside.here.address, CLOSED_PORT)
    for _ in range(TRIES):
        inside.send(closed, "anybody?")
        mapped = bench.must_reach(inside, outside)  # behind it on the same way
        bench.comes_in(inside, [(outside, mapped)])
        if inside.refusals:
            return True
    return False


def keeps_mappings_apart(bench: Bench, mapping: Mapping) -> bool:
    """Two inside hosts with the same ports, in different order: each is mapped as ever, and they
    share nothing."""
    there = [port for ports in bench.outside for port in ports]
    for port in COLLIDING_PORTS:
        one, other = bench.socket(0, port), bench.socket(1, port)
        ones: dict[Endpoint, Endpoint] = {}
        others: dict[Endpoint, Endpoint] = {}
        for n, outside in enumerate(there):
            opposite = there[n - len(there) // 2]
            ones[outside.here] = bench.must_reach(one, outside)
            others[opposite.here] = bench.must_reach(other, opposite)
        if set(ones.values()) & set(others.values()):
            return False
        for host, seen in ((one, ones), (other, others)):
            grid = [[seen[each.here] for each in ports] for ports in bench.outside]
            if mapping_of(host.here, grid) != mapping:
                return False
    return True
