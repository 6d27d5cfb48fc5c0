"""What keeps a pair apart at the moment besides routers' words: daemons, cables, cuts, links. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from lab.judge.situation import Json, Situation
from lab.model.explanation import Finding, Remedy

LARGEST = (
    1340  # bytes: a packet of 1280 in WireGuard, UDP and IPv4, and a node's ping, which is as large
)
MUCH = 0.3  # of the packets: then a volley of pings may well be lost as a whole


def obstacles(now: Situation) -> Iterator[Finding]:
    yield from _daemons(now)
    yield from _links(now)
    yield from _cuts(now)
    yield from _relays(now)


def _daemons(now: Situation) -> Iterator[Finding]:
    for end in now.ends:
        daemon = now.daemons.get(end)
        if daemon is None:
            sentence = f"{end} runs no daemon that could have a path"
            yield Finding("cause", end, sentence)
        elif daemon.state != "ready":
            remedy = Remedy(f"the {daemon.runs} of {end} runs", _revived(now, end, daemon.state))
            sentence = f"the {daemon.runs} of {end} {_state(daemon.state)}"
            yield Finding("cause", end, sentence, remedy=remedy)


def _state(state: str) -> str:
    words = {
        "exited": "has ended",
        "frozen": "is frozen (SIGSTOP)",
        "starting": "is not ready yet",
    }
    return words.get(state, f"is {state}")


def _revived(now: Situation, machine: str, state: str) -> str:
    action = {"exited": "start", "frozen": "thaw"}.get(state)
    return f"lab.daemon {now.lab} {machine} --{action}" if action else ""


def _links(now: Situation) -> Iterator[Finding]:
    links = {link["link"]: link for link in now.links}
    names = dict.fromkeys(wire.name for end in now.ends for wire in now.wires(end))
    for name in names:
        if name in links:
            yield from _link(now, links[name])


def _link(now: Situation, link: Json) -> Iterator[Finding]:
    name = link["link"]
    if not link["is_plugged"]:
        remedy = Remedy(f"the cable of {name} is plugged in", f"lab.link {now.lab} {name} --up")
        yield Finding("cause", name, f"the cable of {name} is unplugged", remedy=remedy)
    lossy = {way: loss for way in ("up", "down") if (loss := link[way]["loss"]) >= MUCH}
    if lossy:
        worst, where = max(lossy.values()), "both ways" if len(lossy) == 2 else next(iter(lossy))
        remedy = Remedy(f"the link {name} loses less", f"lab.link {now.lab} {name} --loss 0%")
        sentence = f"the link {name} loses {worst:.0%} of the packets ({where})"
        yield Finding("cause" if worst == 1 else "note", name, sentence, remedy=remedy)
    if link["mtu"] is not None and link["mtu"] < LARGEST:
        sentence = (
            f"the link {name} carries packets up to {link['mtu']} bytes, "
            f"and one of 1280 in the tunnel is {LARGEST} outside"
        )
        remedy = Remedy(f"the link {name} carries them", f"lab.link {now.lab} {name} --mtu 1500")
        yield Finding("note", name, sentence, remedy=remedy)


def _cuts(now: Situation) -> Iterator[Finding]:
    here, there = ({end, *(router.name for router in now.way(end))} for end in now.ends)
    for cut in now.cuts:
        a, b = cut["a"], cut["b"]
        if not ((a in here and b in there) or (a in there and b in here)):
            continue
        arrow = "what {} sends to {} is cut" if cut["one_way"] else "{} and {} are cut"
        sentence = f"{arrow.format(a, b)}: {cut['dropped']} packets dropped so far"
        remedy = Remedy("the cut is restored", f"lab.restore {now.lab} {a} {b}")
        yield Finding("cause", f"{a} {b}", sentence, tuple(cut["where"]), remedy)


def _relays(now: Situation) -> Iterator[Finding]:
    """Without a relay there is no path to begin with, and no call-me-maybe."""
    links = {link["link"]: link for link in now.links}
    for relay in now.topology.relays:
        daemon, link = now.daemons.get(relay.name), links.get(relay.name)
        if link is not None and not link["is_plugged"]:
            remedy = Remedy(f"{relay.name} is plugged in", f"lab.plug {now.lab} {relay.name}")
            yield Finding("note", relay.name, f"the relay {relay.name} is unplugged", remedy=remedy)
        if daemon is not None and daemon.state != "ready":
            command = _revived(now, relay.name, daemon.state)
            sentence = f"the relay {relay.name} {_state(daemon.state)}"
            remedy = Remedy(f"{relay.name} runs", command)
            yield Finding("note", relay.name, sentence, remedy=remedy)
