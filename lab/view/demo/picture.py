"""The drawing of two nodes and all that is between them, with what moves on its lines right now.

As at the head of the README: the relay above, the direct way below, and each end's routers.

                     +--------------+
          +----------|  nyc (DERP)  |----------+
          |          +--------------+          |
    node-a -- home-a ========================== home-b -- node-b

The legs to the relay show what the topmost wire of each side carries to and from relays; the line in the
middle what it carries to anybody else. Where both ends are behind one router, that one is in the middle
and a single leg leads up from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from lab.model.plan import Plan
from lab.view.demo.canvas import Canvas, Row
from lab.view.demo.glyphs import Glyphs
from lab.view.route import way_up
from lab.view.scene import STRENGTH, Flow, Lane, Scene, Style

HEIGHT = 4  # rows
_JOINTS = (6, 4, 3)  # columns between two machines, the widest that fits
_MIDDLE = 12  # columns of the line in the middle, at the least
_SHORTEST = 5  # columns of a name


@dataclass(frozen=True, slots=True)
class Side:
    """An end and its routers, up to where the ways of both ends meet."""

    machines: tuple[str, ...]  # the node first
    wires: tuple[str, ...]  # each machine's uplink

    @property
    def top(self) -> str:
        return self.wires[-1]


@dataclass(frozen=True, slots=True)
class Between:
    left: Side
    right: Side
    middle: str | None  # the router where both ways meet; None: the internet
    above: tuple[str, ...]  # the wires from there to the internet
    relays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """The style of every line of the drawing at one moment."""

    left: tuple[Style | None, ...]  # of the wires below the topmost, the node's first
    right: tuple[Style | None, ...]
    direct: Style | None
    left_leg: Style | None
    right_leg: Style | None


def between(plan: Plan, a: str, b: str) -> Between:
    left, right = way_up(plan, a), way_up(plan, b)
    above: list[str] = []
    while len(left) > 1 and len(right) > 1 and left[-1] == right[-1]:
        above.insert(0, left.pop().name)
        right.pop()
    meeting = left[-1].b[0]
    return Between(
        left=Side(tuple(wire.a[0] for wire in left), tuple(wire.name for wire in left)),
        right=Side(tuple(wire.a[0] for wire in right), tuple(wire.name for wire in right)),
        middle=meeting if plan.machine(meeting).kind != "internet" else None,
        above=tuple(above),
        relays=tuple(each.name for each in plan.machines if each.kind == "relay"),
    )


def lines(scene: Scene, way: Between, now: float) -> Lines:
    flows = scene.flows(now)

    def style(wire: str, *lanes: Lane) -> Style | None:
        found = {flow.style for flow in flows if flow.wire == wire and _is_in(flow, lanes)}
        return max(found, key=STRENGTH.index, default=None)

    direct = [style(side.top, "direct", "peer-relay", "other") for side in (way.left, way.right)]
    legs = [style(side.top, "relay") for side in (way.left, way.right)]
    if way.middle:
        legs = [style(way.above[0] if way.above else way.left.top, "relay")] * 2
    return Lines(
        left=tuple(style(wire) for wire in way.left.wires[:-1]),
        right=tuple(style(wire) for wire in way.right.wires[:-1]),
        direct=max(direct, key=lambda each: STRENGTH.index(each) if each else -1),
        left_leg=legs[0],
        right_leg=legs[1],
    )


def _is_in(flow: Flow, lanes: tuple[Lane, ...]) -> bool:
    return not lanes or flow.lane in lanes


def picture(scene: Scene, way: Between, now: float, width: int, glyphs: Glyphs) -> list[Row]:
    """`HEIGHT` rows, none wider than `width`."""
    return _Picture(scene, way, now, width, glyphs).rows()


class _Picture:
    def __init__(self, scene: Scene, way: Between, now: float, width: int, glyphs: Glyphs) -> None:
        self._way, self._glyphs = way, glyphs
        self._lines = lines(scene, way, now)
        self._daemons, self._unplugged = scene.daemons(now), scene.unplugged(now)
        self._label = self._middle_label(scene, now)
        self._canvas = Canvas(width, HEIGHT)

    def rows(self) -> list[Row]:
        left, right = self._way.left, self._way.right
        names = self._names()
        joint = self._joint(names)
        ours, theirs = names[: len(left.machines)], names[len(left.machines) :]
        x, left_leg = self._side(1, ours, left.machines, self._lines.left, joint)
        start = self._canvas.width - 1 - sum(map(len, theirs)) - joint * (len(theirs) - 1)
        centre = self._middle(x, start)
        machines, styles = right.machines[::-1], self._lines.right[::-1]
        _, right_leg = self._side(start, theirs, machines, styles, joint, top=0)
        self._relay(left_leg, right_leg, centre)
        return self._canvas.rows()

    def _side(
        self,
        x: int,
        names: list[str],
        machines: tuple[str, ...],
        styles: tuple[Style | None, ...],
        joint: int,
        top: int = -1,
    ) -> tuple[int, int]:
        """From the left; returns the column behind it, and the middle of the topmost machine's name."""
        middles = []
        for n, name in enumerate(names):
            x = self._line(x, joint, styles[n - 1]) if n else x
            middles.append(x + len(name) // 2)
            x = self._name(x, name, machines[n])
        return x, middles[top]

    def _names(self) -> list[str]:
        """Of the left side from its end, of the right side to its end; cut where they do not fit."""
        ends = [*self._way.left.machines, *reversed(self._way.right.machines)]
        machines = [self._marked(each) for each in ends]
        longest = max(map(len, machines))
        while longest > _SHORTEST and self._needed(machines, longest) > self._canvas.width:
            longest -= 1
        return [each if len(each) <= longest else each[: longest - 1] + "~" for each in machines]

    def _needed(self, machines: list[str], longest: int) -> int:
        names = sum(min(len(each), longest) for each in machines)
        return names + _JOINTS[-1] * (len(machines) - 2) + _MIDDLE + 2

    def _joint(self, names: list[str]) -> int:
        free = self._canvas.width - 2 - sum(map(len, names)) - 2 * _MIDDLE
        fits = [each for each in _JOINTS if each * (len(names) - 2) <= free]
        return fits[0] if fits else _JOINTS[-1]

    def _name(self, x: int, name: str, machine: str) -> int:
        look = "out" if self._is_out(machine) else "machine"
        return self._canvas.write(x, HEIGHT - 1, name, look)

    def _marked(self, machine: str) -> str:
        return machine + self._glyphs.out if self._is_out(machine) else machine

    def _is_out(self, machine: str) -> bool:
        """Unplugged, or its daemon does not run."""
        return machine in self._unplugged or self._daemons.get(machine, "ready") != "ready"

    def _line(self, x: int, length: int, style: Style | None) -> int:
        text = f" {self._glyphs.line(style, length - 2)} "
        return self._canvas.write(x, HEIGHT - 1, text, style or "idle")

    def _middle(self, x: int, end: int) -> int:
        """The direct way, with a word on it, or with the router that both are behind. Returns its middle."""
        self._line(x, end - x, self._lines.direct)
        if label := self._way.middle or self._label:
            look = "machine" if self._way.middle else "label"
            start = (x + end - len(label)) // 2
            self._canvas.write(start - 1, HEIGHT - 1, f" {label} ", look)
        return (x + end) // 2

    def _middle_label(self, scene: Scene, now: float) -> str:
        ends = frozenset((self._way.left.machines[0], self._way.right.machines[0]))
        if ends in scene.cuts(now):
            return "cut"
        words: dict[Style | None, str] = {"double": "direct", "dashed": "trying"}
        if self._lines.direct == "solid" and self._is_by_peer_relay(scene, now):
            return "by a peer relay"
        return words.get(self._lines.direct, "")

    def _is_by_peer_relay(self, scene: Scene, now: float) -> bool:
        a, b = self._way.left.machines[0], self._way.right.machines[0]
        return "peer-relay" in (scene.path(a, b, now).kind, scene.path(b, a, now).kind)

    def _relay(self, left_leg: int, right_leg: int, centre: int) -> None:
        if not self._way.relays:
            return
        words = f" {', '.join(map(self._marked, self._way.relays))} (DERP) "
        x = (centre if self._way.middle else self._canvas.width // 2) - len(words) // 2 - 1
        end = x + len(words) + 1
        across, upright, from_left, from_right = tuple(self._glyphs.box)
        upper_left, upper_right, lower_left, lower_right = tuple(self._glyphs.corners)
        for y, text in enumerate(
            (
                upper_left + across * len(words) + upper_right,
                upright + words + upright,
                lower_left + across * len(words) + lower_right,
            )
        ):
            self._canvas.write(x, y, text, "machine")
        if self._way.middle:
            leg = self._lines.left_leg
            self._canvas.write(centre, 2, self._glyphs.upright[leg], leg or "idle")
            return
        self._leg(left_leg, (left_leg + 1, x), upper_left, (x, from_left), self._lines.left_leg)
        self._leg(
            right_leg, (end + 1, right_leg), upper_right, (end, from_right), self._lines.right_leg
        )

    def _leg(
        self,
        x: int,
        across: tuple[int, int],
        corner: str,
        entry: tuple[int, str],
        style: Style | None,
    ) -> None:
        look = style or "idle"
        self._canvas.write(x, 1, corner if style else self._glyphs.upright[None], look)
        self._canvas.write(across[0], 1, self._glyphs.line(style, across[1] - across[0]), look)
        self._canvas.write(x, 2, self._glyphs.upright[style], look)
        if style:
            self._canvas.write(entry[0], 1, entry[1], "machine")
