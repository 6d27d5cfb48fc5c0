"""A plan: everything that the world must make, as pure data.

One `Machine` is one network namespace. One `Wire` is one veth pair, named after the machine whose
uplink it is. Nothing in a plan is secret and nothing depends on the moment: the same topology gives
the same plan, byte for byte, and `digest` tells two of them apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from ipaddress import ip_interface
from typing import Any, Literal, Self, TypeAlias

from lab.errors import NoSuchMachine
from lab.model.link import PERFECT, LinkQuality, Shape

JSON: TypeAlias = bool | int | float | str | list["JSON"] | dict[str, "JSON"] | None


@dataclass(frozen=True, slots=True)
class Route:
    to: str  # CIDR or "default"
    dev: str
    via: str | None = None
    onlink: bool = False  # the next hop is on this link although no address of ours covers it
    metric: int | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    name: str
    addresses: tuple[str, ...] = ()  # with prefix length
    kind: Literal["veth", "bridge", "loopback", "tun"] = "veth"
    master: str | None = None  # the bridge that this is a port of
    mtu: int | None = None
    up: bool = True


@dataclass(frozen=True, slots=True)
class Ruleset:
    backend: Literal["iptables", "ip6tables", "nftables"]
    text: str  # for iptables-restore, ip6tables-restore or `nft -f`
    why: str


@dataclass(frozen=True, slots=True)
class Machine:
    name: str
    kind: Literal["internet", "router", "relay", "host"]
    interfaces: tuple[Interface, ...] = ()
    routes: tuple[Route, ...] = ()
    rules: tuple[Ruleset, ...] = ()
    sysctls: tuple[tuple[str, str], ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()  # (address, name): the lines of /etc/hosts

    @property
    def addresses(self) -> tuple[str, ...]:
        """All but the link-local ones, without their prefixes."""
        found = (ip_interface(each).ip for port in self.interfaces for each in port.addresses)
        return tuple(str(each) for each in found if not each.is_link_local)


@dataclass(frozen=True, slots=True)
class Wire:
    name: str
    a: tuple[str, str]  # (machine, interface): the lower end, whose uplink this is
    b: tuple[str, str]  # the upper end: the internet, or the router above
    quality: LinkQuality = PERFECT


@dataclass(frozen=True, slots=True)
class DaemonPlan:
    host: str
    runs: str  # "node", "derper", "command" or "package.module:Class"
    settings: dict[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    topology: str
    title: str
    drawing: str
    machines: tuple[Machine, ...]
    wires: tuple[Wire, ...]
    daemons: tuple[DaemonPlan, ...]
    underlay: dict[str, str]  # machine -> its main address outside the overlay

    def machine(self, name: str) -> Machine:
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise NoSuchMachine(name, [machine.name for machine in self.machines])

    def to_json(self) -> str:
        """Canonical: sorted keys, no spaces, one line.

        A lab of a thousand has a thousand equal hosts files of a thousand lines, so each distinct
        one is written once, under "hosts", and a machine holds its index.
        """
        files = {hosts: n for n, hosts in enumerate(dict.fromkeys(m.hosts for m in self.machines))}
        machines = [_plain(machine) | {"hosts": files[machine.hosts]} for machine in self.machines]
        raw = _plain(self) | {"machines": machines, "hosts": list(files)}
        return json.dumps(raw, default=_plain, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        raw: dict[str, Any] = json.loads(text)
        files = [_pairs(rows) for rows in raw.pop("hosts")]
        parts = {
            "machines": tuple(_machine(each, files[each["hosts"]]) for each in raw["machines"]),
            "wires": tuple(map(_wire, raw["wires"])),
            "daemons": tuple(DaemonPlan(**each) for each in raw["daemons"]),
        }
        return cls(**raw | parts)

    def digest(self) -> str:
        return sha256(self.to_json().encode()).hexdigest()


def _plain(value: Any) -> dict[str, Any]:
    return {each.name: getattr(value, each.name) for each in fields(value)}


def _pairs(rows: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((first, second) for first, second in rows)


def _interface(raw: Mapping[str, Any]) -> Interface:
    return Interface(**{**raw, "addresses": tuple(raw["addresses"])})


def _machine(raw: Mapping[str, Any], hosts: tuple[tuple[str, str], ...]) -> Machine:
    return Machine(
        name=raw["name"],
        kind=raw["kind"],
        interfaces=tuple(map(_interface, raw["interfaces"])),
        routes=tuple(Route(**each) for each in raw["routes"]),
        rules=tuple(Ruleset(**each) for each in raw["rules"]),
        sysctls=_pairs(raw["sysctls"]),
        hosts=hosts,
    )


def _wire(raw: Mapping[str, Any]) -> Wire:
    quality = raw["quality"]
    return Wire(
        name=raw["name"],
        a=(raw["a"][0], raw["a"][1]),
        b=(raw["b"][0], raw["b"][1]),
        quality=LinkQuality(Shape(**quality["up"]), Shape(**quality["down"]), quality["mtu"]),
    )
