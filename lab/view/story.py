"""What happened, in sentences for people: one for each event that means something to them.

    teller = Teller()
    [teller.tell(event) for event in events]

The teller remembers what it needs to tell the next one well: which relay a node is on, since when a path
is as it is. So events are told in their order, each once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from lab.model.events import (
    BadEvent,
    CallMeMaybe,
    Daemon,
    Event,
    Handshake,
    Other,
    PathMoved,
    RelayConnected,
    RelayLost,
    parse,
)

Tone = Literal["plain", "good", "bad"]
Told = tuple[str, Tone] | None
AGAIN = 2.0  # seconds in which the same thing, said again, is not told again


@dataclass(frozen=True, slots=True)
class Sentence:
    at: float  # seconds, CLOCK_MONOTONIC
    host: str
    text: str
    tone: Tone = "plain"


class Teller:
    def __init__(self) -> None:
        self._relay: dict[str, str] = {}  # the one that a node is on
        self._seen_as: dict[str, Any] = {}
        self._paths: dict[tuple[str, str], PathMoved] = {}
        self._looking_since: dict[tuple[str, str], float] = {}
        self._said: dict[object, float] = {}
        self._told_to: dict[str, str] = {}  # what a daemon was last told to do

    def tell(self, event: Event) -> Sentence | None:
        told = self._told(event)
        return Sentence(event.at, event.host, *told) if told else None

    def _told(self, event: Event) -> Told:
        match event:
            case PathMoved():
                return self._path(event)
            case CallMeMaybe(direction="sent"):
                return self._call_me_maybe(event)
            case Handshake(host=host, peer=peer):
                return self._once(
                    event, frozenset((host, peer)), f"{host} and {peer} agreed on keys"
                )
            case RelayConnected(host=host, region=region):
                self._relay[host] = region
                return f"{host} is connected to the relay {region}", "plain"
            case RelayLost(host=host, region=region):
                return f"{host} lost the relay {region}" + _because(event.why), "bad"
            case Daemon():
                return self._daemon(event)
            case Other(event="netcheck"):
                return self._netcheck(event)
            case Other():
                return _change(event)
        return None

    def _once(self, event: Event, subject: object, text: str) -> Told:
        last = self._said.get((event.name, subject), float("-inf"))
        self._said[event.name, subject] = event.at
        return (text, "plain") if event.at - last > AGAIN else None

    # --- paths

    def _path(self, event: PathMoved) -> Told:
        pair = (event.host, event.peer)
        before = self._paths.get(pair)
        self._paths[pair] = event
        if event.kind != "direct" and (before is None or before.kind == "direct"):
            self._looking_since[pair] = event.at
        if before and (before.kind, before.via) == (event.kind, event.via):
            return None
        return self._moved(event, before.kind if before else "none", self._looking_since.get(pair))

    def _moved(self, event: PathMoved, was: str, looking_since: float | None) -> Told:
        a, b, via = event.host, event.peer, event.via
        if event.kind == "direct":
            if was == "direct":
                return f"{a} reaches {b} directly at {via} now", "good"
            after = "" if looking_since is None else f" after {event.at - looking_since:.2f} s"
            return f"the path from {a} to {b} moved to direct via {via}{after}", "good"
        if event.kind == "none":
            return f"{a} has no path to {b}" + _because(event.why), "bad"
        if was == "direct":
            return f"{a} fell back to {via} for {b}" + _because(event.why), "bad"
        if event.kind == "relay":
            return f"packets from {a} to {b} go through {via}", "plain"
        return f"packets from {a} to {b} go through the peer relay {via}", "plain"

    def _call_me_maybe(self, event: CallMeMaybe) -> Told:
        a, b = event.host, event.peer
        relay = self._relay.get(b) or self._relay.get(a) or "the relay"
        return self._once(event, (a, b), f"{a} told {b} its endpoints through {relay}")

    def _netcheck(self, event: Other) -> Told:
        host, more = event.host, event.more
        seen = (more.get("udp"), more.get("ipv4"), more.get("ipv6"), more.get("mapping_varies"))
        if self._seen_as.get(host) == seen:
            return None
        self._seen_as[host] = seen
        if seen[0] is False:
            return f"{host} gets no UDP out", "bad"
        endpoints = " and ".join(str(each) for each in seen[1:3] if each)
        varies = ", and as another one by each peer (a hard NAT)" if seen[3] else ""
        return (f"{host} is seen outside as {endpoints}{varies}", "plain") if endpoints else None

    def _daemon(self, event: Daemon) -> Told:
        host, daemon = event.host, event.more.get("name", "daemon")
        if event.state == "told":
            self._told_to[host] = str(event.more.get("action"))
            return None
        action = self._told_to.pop(host, None) if event.state != "starting" else None
        if event.state == "exited":
            how = f"was ended ({action})" if action else "ended by itself"
            return f"the {daemon} of {host} {how}", "bad"
        if event.state == "frozen":
            return f"the {daemon} of {host} was frozen", "bad"
        return (f"the {daemon} of {host} is ready", "good") if event.state == "ready" else None


def told(teller: Teller, raw: object) -> Sentence | None:
    """For an event as the log has it; None also for what is none."""
    try:
        return teller.tell(parse(raw))
    except BadEvent:  # a daemon may say what it likes
        return None


def _change(event: Other) -> Told:
    """What people did to the lab. A daemon may say such words too, with any fields: these are passed over."""
    host = event.host
    match event.event, event.more:
        case "up", {"seconds": float(seconds)}:
            return f"the lab is up, after {seconds:.2f} s", "plain"
        case "down", _:
            return "the lab is taken down", "plain"
        case "move", {"was": was, "now": now, "has": [*has]}:
            return f"{host} moved from {was} to {now}, as {_words(has)}", "bad"
        case "nat", {"changed": [*changed], "forgotten": int(flows)}:
            return f"{host} forgot {flows} flows ({_words(changed, ', ')})", "bad"
        case "cut", {"peer": peer, "one_way": True}:
            return f"what {host} sends to {peer} is cut off", "bad"
        case "cut", {"peer": peer}:
            return f"the direct way between {host} and {peer} was cut", "bad"
        case "restore", {"peer": peer, "dropped": int(dropped)}:
            return (
                f"{host} and {peer} may reach each other again; {dropped} packets met the cut",
                "good",
            )
        case "link", more:
            return _link(host, more)
        case "unwatched", {"what": what, "problem": problem}:
            return f"{what}: nothing more is seen of them: {problem}", "bad"
        case "port_mapping", {"external": str(endpoint)}:
            return f"{host} was given {endpoint} by its router", "good"
    return None


def _link(host: str, more: Mapping[str, Any]) -> Told:
    match more:
        case {"up": True}:
            return f"{host} was plugged in", "good"
        case {"up": False}:
            return f"{host} was unplugged", "bad"
        case {"link": link, "changed": [*changed]}:
            return f"the link {link} changed: {_words(changed, ', ')}", "plain"
        case {"problem": problem}:
            return str(problem), "bad"
    return None


def _words(values: Sequence[object], between: str = " ") -> str:
    return between.join(map(str, values))


def _because(why: str | None) -> str:
    return f": {why}" if why else ""
