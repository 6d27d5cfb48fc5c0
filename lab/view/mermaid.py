"""A topology as a mermaid flowchart: paste it where Markdown is drawn.

Each machine's shape is its kind: the internet a circle, a router a hexagon, a relay a cylinder, a
host a box. The identifiers are numbers, for mermaid reads some names (`end`, `o...`, `x...`) as its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from json import dumps  # JSON is YAML, which a flowchart's head is

from lab.model.link import CLEAN, LinkQuality, Shape
from lab.model.nat import Nat
from lab.model.network import INTERNET, Host, Router, Topology

BREAK = "<br/>"
UNITS = ((10**9, "gbit"), (10**6, "mbit"), (10**3, "kbit"), (1, "bit"))


def mermaid(topology: Topology) -> str:
    ids = {name: f"m{n}" for n, name in enumerate((INTERNET, *topology.names))}
    lines = ["---", f"title: {dumps(topology.title, ensure_ascii=False)}", "---", "flowchart TD"]
    lines += [f"    {ids[name]}{shape}" for name, shape in _shapes(topology)]
    for uplink, lower, upper in _edges(topology):
        label = _quality(topology.links[uplink]) if uplink in topology.links else ""
        line = f"---|{_text(label)}|" if label else "---"
        lines.append(f"    {ids[upper]} {line} {ids[lower]}")
    return "\n".join(lines) + "\n"


def _shapes(topology: Topology) -> Iterator[tuple[str, str]]:
    yield INTERNET, f"(({_text(INTERNET)}))"
    for relay in topology.relays:
        yield relay.name, f"[({_text(relay.name, relay.hostname)})]"
    for router in topology.routers:
        yield router.name, "{{" + _text(router.name, *_does(router)) + "}}"
    for host in topology.hosts:
        yield host.name, f"[{_text(host.name, *_about(host))}]"


def _does(router: Router) -> Iterator[str]:
    if router.ipv4:
        yield describe(router.nat)
    if router.ipv6:
        yield f"IPv6 {router.ipv6}" + (", NAT64" if router.nat64 else "")


def _about(host: Host) -> Iterator[str]:
    if host.runs == "command":
        yield " ".join(host.argv)
    elif host.runs not in (None, "node"):
        yield str(host.runs)
    yield from host.overlay


def _edges(topology: Topology) -> Iterator[tuple[str, str, str]]:
    """The uplink's name, the machine below, the machine above."""
    for relay in topology.relays:
        yield relay.name, relay.name, INTERNET
    for router in topology.routers:
        yield router.name, router.name, router.upstream or INTERNET
    for host in topology.hosts:
        for uplink, above in zip(host.uplinks, host.on or (INTERNET,), strict=True):
            yield uplink, host.name, above


def describe(nat: Nat) -> str:
    """A preset's name, or the words that matter most."""
    return nat.preset or f"{nat.mapping} mapping, {nat.filtering} filtering"


def _quality(quality: LinkQuality) -> str:
    mtu = f"mtu {quality.mtu}" if quality.mtu else ""
    if quality.up == quality.down:
        return _joined(_shape(quality.up), mtu)
    up = f"up {_shape(quality.up)}" if quality.up != CLEAN else ""
    down = f"down {_shape(quality.down)}" if quality.down != CLEAN else ""
    return _joined(up, down, mtu)


def _shape(shape: Shape) -> str:
    return _joined(
        f"{shape.delay * 1e3:g} ms" if shape.delay else "",
        f"{shape.jitter * 1e3:g} ms jitter" if shape.jitter else "",
        f"{shape.loss * 100:g} % loss" if shape.loss else "",
        _rate(shape.rate) if shape.rate else "",
    )


def _rate(rate: int) -> str:
    size, unit = next((size, unit) for size, unit in UNITS if rate >= size)
    return f"{rate / size:g} {unit}"


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _text(*lines: str) -> str:
    """Quoted, with the characters that mermaid would read as its own as entities."""
    safe = (line.replace("#", "#35;").replace('"', "#quot;") for line in lines)
    return f'"{BREAK.join(safe)}"'
