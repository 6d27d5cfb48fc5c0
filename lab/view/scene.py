"""What is to be seen of a lab: its paths, what moves on its wires, its story; at any moment.

    scene = Scene(plan)
    scene.take(item)             # an event, a sighting or a beat, as a feed gives them
    scene.path("node-a", "node-b", now)
    scene.flows(now)

Pure: times are in the items, and `now` (seconds, CLOCK_MONOTONIC) is an argument of every question. Whatever
is asked about a moment is answered as it was then, so a view may be scrubbed back; sightings and beats are
kept for `KEPT` seconds. Three styles, as in the drawing at the head of the README:

    solid     data on its way through a relay (or of a stranger's kind)
    dashed    attempts at traversal: STUN, disco, port mapping, and what a relay carries besides data
    double    data on the direct path
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from lab.model.beat import Beat
from lab.model.events import Daemon, Event, Other, PathMoved
from lab.model.path import PathKind
from lab.model.plan import Plan
from lab.model.sighting import Kind, Sighting, Way
from lab.view import route
from lab.view.story import Sentence, Teller
from lab.view.timeline import Timeline

Style: TypeAlias = Literal["solid", "dashed", "double"]
Lane: TypeAlias = Literal["relay", "direct", "peer-relay", "other"]
Pair: TypeAlias = tuple[str, str]
Item: TypeAlias = Event | Sighting | Beat

HOLD = 0.6  # seconds that what was seen is shown: longer than the gaps of a stream of pings
KEPT = 60.0  # seconds: a busy wire has a hundred sightings in each
STRENGTH: tuple[Style, ...] = ("dashed", "solid", "double")  # the weakest first

_ATTEMPTS = frozenset(
    ("stun", "disco-ping", "disco-pong", "disco", "handshake", "portmap", "refusal")
)
_NO_FLOW = frozenset(("tcp", "unread"))  # acknowledgements, and what nobody looked at


@dataclass(frozen=True, slots=True)
class Path:
    """From one node to another."""

    kind: PathKind
    via: str | None = None
    since: float | None = None
    rtt_ms: float | None = None  # as the node measured it when it moved
    why: str | None = None


NO_PATH = Path("none")


@dataclass(frozen=True, slots=True)
class Flow:
    """What was seen of one style on one wire, one way, in the last `HOLD` seconds."""

    wire: str
    way: Way
    lane: Lane
    style: Style
    kinds: tuple[Kind, ...]
    ends: tuple[tuple[str, str], ...]  # outer endpoints: (source, target)
    packets: int
    bytes: int
    last: float


class Scene:
    def __init__(self, plan: Plan) -> None:
        self._facts: defaultdict[tuple[str, ...], Timeline[Any]] = defaultdict(Timeline)
        self._seen: defaultdict[str, Timeline[Sighting]] = defaultdict(Timeline)
        self._beats: Timeline[Beat] = Timeline()
        self._counts: Timeline[tuple[int, int]] = Timeline()  # answered, lost: of all, up to then
        self._given_up: set[int] = set()
        self._story: Timeline[Sentence] = Timeline()
        self.told: list[Sentence] = []  # the same, in the order in which they came
        self._teller = Teller()
        self.replan(plan)

    def replan(self, plan: Plan) -> None:
        """Another plan: somebody moved. What was seen on a wire that is no more is kept."""
        self.plan = plan
        self._relays = route.relay_addresses(plan)
        self._below = {wire.name: route.below(plan, wire.name) for wire in plan.wires}

    # --- what comes in

    def take(self, item: Item) -> None:
        match item:
            case Sighting():
                self._seen[item.wire].add(item.at, item)
                self._seen[item.wire].forget(item.at - KEPT)
            case Beat():
                self._beat(item)
            case _:
                self._event(item)

    def _beat(self, beat: Beat) -> None:
        answered, lost = last[1] if (last := self._counts.last(beat.at)) else (0, 0)
        if beat.rtt_ms is None:
            self._given_up.add(beat.seq)
            lost += 1
        else:
            lost -= beat.seq in self._given_up  # it was late, not lost
            answered += 1
        self._counts.add(beat.at, (answered, lost))
        self._beats.add(beat.at, beat)
        self._beats.forget(beat.at - KEPT)

    def _event(self, event: Event) -> None:
        if sentence := self._teller.tell(event):
            self._story.add(event.at, sentence)
            self.told.append(sentence)
        for key, value in _facts(event):
            self._facts[key].add(event.at, _still(self._fact(*key, now=event.at), value))

    # --- paths

    def path(self, a: str, b: str, now: float) -> Path:
        """The path from a to b, as a's daemon sees it."""
        path: Path = self._fact("path", a, b, now=now) or NO_PATH
        return path

    def paths(self, now: float) -> dict[Pair, Path]:
        """Of every pair that has had one."""
        pairs = [(key[1], key[2]) for key in self._facts if key[0] == "path"]
        return {pair: self.path(*pair, now) for pair in pairs}

    def history(self, a: str, b: str, now: float) -> list[Path]:
        """Each change of the path from a to b once, oldest first."""
        found: list[Path] = []
        for path in self._facts["path", a, b].up_to(now):
            if not found or (path.kind, path.via) != (found[-1].kind, found[-1].via):
                found.append(path)
        return found

    # --- wires

    def flows(self, now: float, wire: str | None = None) -> list[Flow]:
        """What moved in the last moment, on one wire or on all."""
        names = [wire] if wire else [each.name for each in self.plan.wires]
        relayed = _Relayed(self)
        return [flow for name in names for flow in self._flows(name, now, relayed)]

    def style(self, wire: str, now: float, lane: Lane | None = None) -> Style | None:
        """The strongest on a wire, in one lane or in all: double before solid before dashed."""
        styles = {flow.style for flow in self.flows(now, wire) if lane in (None, flow.lane)}
        return max(styles, key=STRENGTH.index, default=None)

    def _flows(self, wire: str, now: float, relayed: _Relayed) -> list[Flow]:
        groups: defaultdict[tuple[Way, Lane, Style], list[Sighting]] = defaultdict(list)
        for seen in self._seen[wire].between(now - HOLD, now) if wire in self._seen else ():
            lane = self._lane(seen)
            if (style := self._style(seen, lane, relayed)) is not None:
                groups[seen.way, lane, style].append(seen)
        return [_flow(wire, *key, group) for key, group in groups.items()]

    def _lane(self, seen: Sighting) -> Lane:
        if seen.by_peer_relay:
            return "peer-relay"
        if _address(seen.source) in self._relays or _address(seen.target) in self._relays:
            return "relay"
        return "other" if seen.kind in ("udp", "other", "tcp", "portmap") else "direct"

    def _style(self, seen: Sighting, lane: Lane, relayed: _Relayed) -> Style | None:
        if seen.kind in _NO_FLOW:
            return None
        if seen.kind in _ATTEMPTS:
            return "dashed"
        if seen.kind == "derp":
            return "solid" if self._carries_data(seen, relayed) else "dashed"
        return "double" if lane == "direct" else "solid"

    def _carries_data(self, seen: Sighting, relayed: _Relayed) -> bool:
        """Is data in a relay's TLS? Only if somebody below this wire has a path through a relay."""
        below = self._below.get(seen.wire, frozenset())
        hosts = relayed.at(seen.at)
        is_relays = not below.isdisjoint(self._relays.values())
        return bool(hosts) if is_relays else not below.isdisjoint(hosts)

    # --- the story, and the stream of pings

    def story(self, now: float) -> list[Sentence]:
        return self._story.up_to(now)

    def beats(self, since: float, now: float) -> list[Beat]:
        """Pings by when they ended; one that was late comes twice, lost first."""
        return self._beats.between(since, now)

    def answered(self, now: float) -> int:
        return self._counted(now)[0]

    def lost(self, now: float) -> int:
        return self._counted(now)[1]

    def _counted(self, now: float) -> tuple[int, int]:
        return last[1] if (last := self._counts.last(now)) else (0, 0)

    # --- what is broken

    def unplugged(self, now: float) -> set[str]:
        """Machines whose cables are pulled."""
        return {key[1] for key in self._known("plug", now) if self._fact(*key, now=now) is False}

    def cuts(self, now: float) -> set[frozenset[str]]:
        """Pairs of machines that are cut off from each other."""
        known = self._known("cut", now)
        return {frozenset(key[1:]) for key in known if self._fact(*key, now=now)}

    def daemons(self, now: float) -> dict[str, str]:
        """Each daemon's state: starting, ready, frozen or exited."""
        return {key[1]: self._fact(*key, now=now) for key in self._known("daemon", now)}

    def nats(self, now: float) -> dict[str, str]:
        """The NAT of each router that was given another one, as a preset's name or words."""
        return {key[1]: self._fact(*key, now=now) for key in self._known("nat", now)}

    def _known(self, kind: str, now: float) -> list[tuple[str, ...]]:
        return [key for key in self._facts if key[0] == kind and self._facts[key].last(now)]

    def _fact(self, *key: str, now: float) -> Any:
        found = self._facts[key].last(now) if key in self._facts else None
        return found[1] if found else None


class _Relayed:
    """Who has a path through a relay, by the time; each time is looked up once."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._known: dict[float, set[str]] = {}

    def at(self, now: float) -> set[str]:
        if now not in self._known:
            paths = self._scene.paths(now).items()
            self._known[now] = {one for pair, path in paths if path.kind == "relay" for one in pair}
        return self._known[now]


def _facts(event: Event) -> list[tuple[tuple[str, ...], Any]]:
    """What an event says about the state of things: (subject, value)."""
    match event:
        case PathMoved(host=a, peer=b):
            path = Path(event.kind, event.via, event.at, event.rtt_ms, event.why)
            return [(("path", a, b), path)]
        case Daemon(host=host, state=state) if state != "told":
            return [(("daemon", host), state)]
        case Other(event="link", host=host, more={"up": up}):
            return [(("plug", host), bool(up))]
        case Other(event="link", host=host, more={"is_plugged": up}):
            return [(("plug", host), bool(up))]
        case Other(event="cut" | "restore" as name, host=a, more={"peer": b}):
            return [(("cut", *sorted((a, str(b)))), name == "cut")]
        case Other(event="nat", host=host, more={"nat": nat}):
            return [(("nat", host), str(nat))]
    return []


def _still(before: Any, value: Any) -> Any:
    """A path that is told again has been there since it was told first."""
    if isinstance(before, Path) and (before.kind, before.via) == (value.kind, value.via):
        return replace(value, since=before.since)
    return value


def _flow(wire: str, way: Way, lane: Lane, style: Style, group: list[Sighting]) -> Flow:
    packets: Counter[Kind] = Counter()
    for each in group:
        packets[each.kind] += each.packets
    return Flow(
        wire=wire,
        way=way,
        lane=lane,
        style=style,
        kinds=tuple(kind for kind, _ in packets.most_common()),
        ends=tuple(dict.fromkeys((each.source, each.target) for each in group)),
        packets=packets.total(),
        bytes=sum(each.bytes for each in group),
        last=group[-1].at,
    )


def _address(endpoint: str) -> str:
    """192.0.2.1:7 and [2001:db8::1]:7 with their ports, and without as where there are none."""
    if endpoint.startswith("["):
        return endpoint[1:].partition("]")[0]
    return endpoint.partition(":")[0]
