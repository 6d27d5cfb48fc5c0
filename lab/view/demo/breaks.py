"""What a viewer may break, and mend again: each is a key, a word for what it would do now, and a deed.

A deed is done by the client, so it is what the lab's commands do, and returns when it has taken effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lab.client import Lab
from lab.view.demo.picture import Between
from lab.view.scene import Scene

HARD = "symmetric"  # the NAT that a router is given, for its own


@dataclass(frozen=True, slots=True)
class Deed:
    key: str
    word: str  # what it does, for the line of keys
    doing: str  # while it is under way
    do: Callable[[], object]


def deeds(lab: Lab, scene: Scene, way: Between, now: float, nats: Mapping[str, str]) -> list[Deed]:
    """What there is to do now. `nats`: each router's NAT when the demo began, a preset's name or words."""
    a, b = way.left.machines[0], way.right.machines[0]
    return [
        _cut(lab, a, b, is_cut=frozenset((a, b)) in scene.cuts(now)),
        *(_relay(lab, each, scene.daemons(now).get(each)) for each in way.relays[:1]),
        _plug(lab, b, is_out=b in scene.unplugged(now)),
        *(_nat(lab, each, scene.nats(now).get(each), nats[each]) for each in _router(way, nats)),
    ]


def _router(way: Between, nats: Mapping[str, str]) -> list[str]:
    """The first router of the left end, if it has one."""
    return [each for each in way.left.machines if each in nats][:1]


def _cut(lab: Lab, a: str, b: str, is_cut: bool) -> Deed:
    if is_cut:
        return Deed("c", "restore direct", "letting them meet", lambda: lab.restore(a, b))
    return Deed("c", "cut direct", f"cutting {a} from {b}", lambda: lab.cut(a, b))


def _relay(lab: Lab, relay: str, state: str | None) -> Deed:
    if state == "exited":
        return Deed("r", f"start {relay}", f"starting {relay}", lambda: lab.daemon(relay, "start"))
    return Deed("r", f"kill {relay}", f"killing {relay}", lambda: lab.daemon(relay, "kill"))


def _nat(lab: Lab, router: str, now: str | None, own: str) -> Deed:
    other = own if (now or own) != own else HARD if own != HARD else "full-cone"
    word = f"{router} {'its own NAT' if other == own else other}"
    return Deed("n", word, f"giving {router} another NAT", lambda: lab.nat(router, other))


def _plug(lab: Lab, host: str, is_out: bool) -> Deed:
    if is_out:
        return Deed("u", f"plug {host}", f"plugging {host} in", lambda: lab.plug(host))
    return Deed("u", f"unplug {host}", f"unplugging {host}", lambda: lab.unplug(host))
