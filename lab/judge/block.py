"""A block of the matrix in one lab: some profiles' nodes as initiators, some profiles' as responders.

    from-1 -- home --+                +-- home -- to-1      every `from` sends echoes to every `to`,
    from-2 -- home --+-- internet  ---+-- home -- to-2      at the same time; nobody else speaks first
    from-3 -- home --+   nyc (DERP)   +-- home -- to-3

A lab for each pair would spend nearly all its time on starting daemons; here a node of each profile
serves a whole row or column. It is sound as long as pairs do not help each other, and they cannot: each
node has a home and a WAN address of its own, filters remember whom *that* address was sent to, a mapping
that moves is made anew for each destination, and one that does not move is the same for all. A `from`
never sends to a `from`, nor a `to` to a `to`; so every ordered pair of profiles, and each profile with
itself, is a pair of nodes that met nobody else's conversation, and whose initiator is who sent first.

Then the relay's cable is pulled and the echoes go on: what is direct flows, what is relayed falls silent.

    python -m lab.judge.block '{"initiators": ["open"], "responders": ["symmetric"]}'

prints one JSON list: what was observed of each pair, initiators outside, responders inside.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lab.client import Lab
from lab.judge.attend import answer_with
from lab.model.topology import Topology, loads

INTERVAL = 0.05  # seconds between echoes: the grain of all times here, and 20 lost are a second
OBSERVE = 6.0  # seconds for a direct path: a node's volley of pings is over after five
SETTLE = 0.5  # seconds that a new path is watched, before the relay goes
PROOF = 1.5  # seconds of echoes with the relay unplugged
IN_FLIGHT = (
    0.25  # seconds after the unplugging in which a reply may have passed the relay before it
)
TICK = 0.1
RELAY = "nyc"
RELAY_DELAY = "10ms"  # as everywhere, it is a detour: who is told an endpoint by it pings first


@dataclass(frozen=True, slots=True)
class Member:
    """One node of the block."""

    profile: str
    host: str
    overlay: str


@dataclass(frozen=True, slots=True)
class Block:
    initiators: tuple[Member, ...]
    responders: tuple[Member, ...]

    @property
    def pairs(self) -> Iterator[tuple[Member, Member]]:
        return ((one, other) for one in self.initiators for other in self.responders)

    def topology(self) -> Topology:
        lines = [f'[relay.{RELAY}]\nhostname = "{RELAY}.derp.example"']
        lines += [f'[link.{RELAY}]\ndelay = "{RELAY_DELAY}"']
        for each in (*self.initiators, *self.responders):
            lines += [f'[router.home-{each.host}]\nnat = "{each.profile}"']
            lines += [f'[host.{each.host}]\non = "home-{each.host}"\nruns = "node"']
            lines += [f'overlay = "{each.overlay}"']
        return loads("\n".join(lines), "matrix.toml")


def block_of(initiators: Sequence[str], responders: Sequence[str]) -> Block:
    ones = [
        Member(profile, f"from-{n}", f"100.64.1.{n}") for n, profile in enumerate(initiators, 1)
    ]
    others = [
        Member(profile, f"to-{n}", f"100.64.2.{n}") for n, profile in enumerate(responders, 1)
    ]
    return Block(tuple(ones), tuple(others))


def observe(block: Block) -> list[dict[str, Any]]:
    lab = Lab.up(block.topology(), "matrix")
    try:
        choirs = {one.host: _start(lab, one, block.responders) for one in block.initiators}
        _wait_for_direct_paths(lab, {(a.host, b.host) for a, b in block.pairs})
        time.sleep(SETTLE)
        lab.unplug(RELAY)
        time.sleep(PROOF)
        echoes = _finish(choirs)
        events = list(lab.events())
    finally:
        lab.down()
    # The keeper says when: we may have waited for it while echoes still passed.
    off = ("link", RELAY, False)
    unplugged = next(e["at"] for e in events if (e["event"], e["host"], e.get("up")) == off)
    return [
        judge(echoes[a.host][b.overlay], paths_between(events, a.host, b.host), unplugged)
        for a, b in block.pairs
    ]


def _start(lab: Lab, one: Member, responders: Sequence[Member]) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "lab.judge.chorus", "--interval", str(INTERVAL)]
    argv += [other.overlay for other in responders]
    pipe = subprocess.PIPE
    return lab.popen(one.host, argv, stdin=pipe, stdout=pipe, text=True)


def _finish(choirs: dict[str, subprocess.Popen[str]]) -> dict[str, dict[str, Any]]:
    """By initiator and address."""
    for choir in choirs.values():
        choir.stdin.close()  # type: ignore[union-attr]
        choir.stdin = None
    heard = {}
    for host, choir in choirs.items():
        out, _ = choir.communicate()
        heard[host] = {voice["address"]: voice for voice in map(json.loads, out.splitlines())}
    return heard


def _wait_for_direct_paths(lab: Lab, pairs: set[tuple[str, str]]) -> None:
    """Until every pair has one, or OBSERVE seconds after the last began to have any path."""
    until = time.monotonic() + OBSERVE
    begun: set[tuple[str, str]] = set()
    while time.monotonic() < until:
        kinds = {(path["from"], path["to"]): path["kind"] for path in lab.status()["paths"]}
        if all(kinds.get(pair) == "direct" for pair in pairs):
            return
        now = {pair for pair in pairs if kinds.get(pair) not in (None, "none")}
        if now - begun:
            begun, until = now, time.monotonic() + OBSERVE
        time.sleep(TICK)


def paths_between(events: Sequence[dict[str, Any]], a: str, b: str) -> list[dict[str, Any]]:
    wanted = ("path", a, b)
    return [each for each in events if (each["event"], each["host"], each.get("peer")) == wanted]


def judge(
    echoes: dict[str, Any], paths: Sequence[dict[str, Any]], unplugged: float
) -> dict[str, Any]:
    """What the initiator's node said, and what its echoes say."""
    sent: list[float] = echoes["sent"]
    received: list[list[float]] = echoes["received"]
    began = sent[0]
    before = [times for at, times in zip(sent, received, strict=True) if at < unplugged - IN_FLIGHT]
    after = [times for at, times in zip(sent, received, strict=True) if at > unplugged + IN_FLIGHT]
    first = min((times[0] for times in received if times), default=None)
    said = [path for path in paths if path["at"] <= unplugged]
    direct = next((path["at"] for path in said if path["kind"] == "direct"), None)
    answered = sum(bool(times) for times in after)
    return {
        "path": said[-1]["kind"] if said else "none",
        "via": said[-1]["via"] if said else None,
        "first_packet_ms": _ms(first, began),
        "direct_after_ms": _ms(direct, began),
        "echoes": len(before),
        "lost": sum(not times for times in before),
        "duplicated": sum(len(times) > 1 for times in before),
        "unplugged": {"echoes": len(after), "answered": answered},
        "proof": proof(answered, len(after)),
    }


def proof(answered: int, echoes: int) -> str:
    """Of a direct path nearly all flow; a few lost ones are an ordinary thing on a busy machine."""
    if not answered:
        return "silence"
    return "flows" if answered > echoes / 2 else "stutters"


def _ms(at: float | None, began: float) -> float | None:
    return None if at is None else round((at - began) * 1000, 1)


def main(request: dict[str, Any]) -> list[dict[str, Any]]:
    return observe(block_of(request["initiators"], request["responders"]))


if __name__ == "__main__":
    answer_with(main)
