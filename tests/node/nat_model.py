"""A NAT as a table in memory, in the words of RFC 4787: mapping, filtering, ports, timeout, hairpin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from node.wire.endpoint import Endpoint

Behaviour = Literal["endpoint-independent", "address-dependent", "address-and-port-dependent"]
Key = tuple[Endpoint, object]


def _part(behaviour: Behaviour, remote: Endpoint) -> object:
    match behaviour:
        case "endpoint-independent":
            return None
        case "address-dependent":
            return remote.address
    return remote


@dataclass
class Mapping:
    inside: Endpoint
    outside: Endpoint
    used: float
    talked_to: dict[Endpoint, float] = field(default_factory=dict)


@dataclass
class Nat:
    address: str
    mapping: Behaviour = "endpoint-independent"
    filtering: Behaviour = "address-and-port-dependent"
    keeps_ports: bool = True
    hairpin: bool = False
    timeout: float = 30.0
    step: int = 1  # from one port that is given out to the next
    forwards: dict[int, Endpoint] = field(default_factory=dict)  # static: port outside, and to whom
    _by_inside: dict[Key, Mapping] = field(default_factory=dict)
    _by_outside: dict[int, Mapping] = field(default_factory=dict)
    _next_port: int = 50000

    def outbound(self, inside: Endpoint, to: Endpoint, now: float) -> Endpoint:
        key = (inside, _part(self.mapping, to))
        found = self._by_inside.get(key)
        if found is None or now >= found.used + self.timeout:
            found = self._new(key, inside, now)
        found.used = found.talked_to[to] = now
        return found.outside

    def inbound(self, to: Endpoint, source: Endpoint, now: float) -> Endpoint | None:
        """Where it goes inside; None when it is filtered. Only outbound traffic refreshes."""
        if forward := self.forwards.get(to.port):
            answered = Mapping(forward, to, now, {source: now})  # answers leave by the same port
            self._by_inside.setdefault((forward, _part(self.mapping, source)), answered)
            return forward
        found = self._by_outside.get(to.port)
        if found is None or now >= found.used + self.timeout:
            return None
        asked = {_part(self.filtering, remote) for remote in found.talked_to}
        return found.inside if _part(self.filtering, source) in asked else None

    def reboot(self) -> None:
        """Every mapping is gone, and ports are given out from another place."""
        self._by_inside.clear()
        self._by_outside.clear()
        self._next_port += 1000
        self.keeps_ports = False

    def __len__(self) -> int:
        return len(self._by_inside)

    def _new(self, key: Key, inside: Endpoint, now: float) -> Mapping:
        port = inside.port
        if not self.keeps_ports or self._in_use(port, now):
            port = self._next_port
            self._next_port += self.step
        made = Mapping(inside, Endpoint(self.address, port), now)
        self._by_inside[key] = self._by_outside[port] = made
        return made

    def _in_use(self, port: int, now: float) -> bool:
        found = self._by_outside.get(port)
        return found is not None and now < found.used + self.timeout


def port_restricted(address: str) -> Nat:
    return Nat(address)


def full_cone(address: str) -> Nat:
    return Nat(address, filtering="endpoint-independent")


def symmetric(address: str) -> Nat:
    return Nat(address, mapping="address-and-port-dependent", keeps_ports=False)
