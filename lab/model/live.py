"""Changes of a topology while its lab runs: each is one more override, and everything else stays put.

A topology that is read again would deal out its free addresses again, and a machine that is new in a LAN
might move the others. So first every address and LAN is *pinned*: given, as if the text had given it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from ipaddress import ip_address

from lab.model.addresses import Addresses, assign
from lab.model.errors import TopologyError, nearest
from lab.model.family import families
from lab.model.network import Topology
from lab.model.topology import loads
from lab.model.words import Nat

Overrides = Mapping[str, str]


def with_nat(topology: Topology, router: str, profile: str) -> Topology:
    """`profile` is a preset's name, or words: `{ mapping = "address-dependent", hairpin = true }`."""
    _check_router(topology, router)
    return _again(topology, {f"router.{router}.nat": profile})


def with_wan(topology: Topology, router: str, addresses: Sequence[str]) -> Topology:
    """Other addresses on its uplink; a family of which none is named keeps its own."""
    _check_router(topology, router)
    versions = {_version(topology, router, each) for each in addresses}
    kept = [
        str(address)
        for side in _sides(topology)
        if side.family.version not in versions
        for address in side.routers.get(router, ())
    ]
    return _again(topology, {f"router.{router}.addresses": json.dumps([*kept, *addresses])})


def moved(topology: Topology, host: str, router: str) -> Topology:
    """Its (first) cable in another router, with a free address of that LAN; other cables stay."""
    if host not in [each.name for each in topology.hosts]:
        names = [each.name for each in topology.hosts]
        raise TopologyError("", "", f'there is no host "{host}"', nearest(host, names))
    _check_router(topology, router)
    others = topology.host(host).on[1:]
    if router in others:
        raise TopologyError("", "", f"{host} is plugged into {router} already, by another cable")
    on = {f"host.{host}.on": json.dumps([router, *others])}
    placed = _again(topology, on | {f"host.{host}.addresses": "[]"})
    before, after = _sides(topology), _sides(placed)
    addresses = [
        str(address)
        for side in after
        for n, uplink in enumerate(side.hosts.get(host, ()))
        for address in (uplink if n == 0 else _uplink(before, side.family.version, host, n))
    ]
    return _again(topology, on | {f"host.{host}.addresses": json.dumps(addresses)})


def nat_words(topology: Topology, router: str) -> str:
    """A preset's name, or the two words that matter most and all that are not as usual."""
    nat, plain = topology.router(router).nat, Nat()
    if nat.preset:
        return nat.preset
    given = {each.name: getattr(nat, each.name) for each in fields(Nat) if each.name != "preset"}
    return words_text(
        {
            name: value
            for name, value in given.items()
            if name in ("mapping", "filtering") or value != getattr(plain, name)
        }
    )


def words_text(words: Mapping[str, object]) -> str:
    """As people write them: `{ mapping = "address-dependent", hairpin = true }`."""
    told = (f"{name} = {json.dumps(value)}" for name, value in words.items() if value is not None)
    return f"{{ {', '.join(told)} }}"


def pins(topology: Topology) -> dict[str, str]:
    """Overrides that give everybody the address that it has."""
    return dict(_pins(topology))


def _pins(topology: Topology) -> Iterator[tuple[str, str]]:
    sides = _sides(topology)
    for group in ("relay", "router", "host"):
        given: dict[str, list[str]] = {}
        for side in sides:
            for name, addresses in _of(side, group):
                given.setdefault(name, []).extend(addresses)
        yield from ((f"{group}.{name}.addresses", json.dumps(row)) for name, row in given.items())
    for side in sides:
        for name, lan in side.lans.items():
            yield f"router.{name}.{side.family.lan_key}", f'"{lan}"'


def _of(side: Addresses, group: str) -> Iterator[tuple[str, list[str]]]:
    if group == "relay":
        yield from ((name, [str(address)]) for name, address in side.relays.items())
    elif group == "router":
        yield from ((name, [str(each) for each in row]) for name, row in side.routers.items())
    else:
        for name, uplinks in side.hosts.items():
            yield name, [str(address) for uplink in uplinks for address in uplink]


def _uplink(sides: Sequence[Addresses], version: int, host: str, n: int) -> Sequence[object]:
    rows = (side.hosts[host][n] for side in sides if side.family.version == version)
    return next(rows, ())


def _sides(topology: Topology) -> list[Addresses]:
    return [assign(family) for family in families(topology)]


def _again(topology: Topology, changes: Overrides) -> Topology:
    if topology.source is None:
        raise TopologyError("", "", "this lab was not made from a topology's text")
    new = {**pins(topology), **changes}
    kept = {
        key: value
        for key, value in topology.source.overrides.items()
        if not any(key == other or key.startswith(f"{other}.") for other in new)
    }
    return loads(topology.source.text, topology.file, {**kept, **new})


def _check_router(topology: Topology, name: str) -> None:
    names = [router.name for router in topology.routers]
    if name not in names:
        raise TopologyError("", "", f'there is no router "{name}"', nearest(name, names))


def _version(topology: Topology, router: str, text: str) -> int:
    try:
        return ip_address(text).version
    except ValueError:
        raise TopologyError("", f"router.{router}", f'"{text}" is not an address') from None
