"""Where everything stands in a drawing: a box for each machine, a line for each link.

    [ nyc ]                     The internet is a long band, so that each uplink is a straight line to it.
  =====internet=====            Below it each row is one router deeper; hosts are the last row, however
   [home-a] [home-b]            deep they are. A parent stands over the middle of its children.
   [node-a] [node-b]

*Across* is the direction along the band, *down* the one from the internet to the hosts. A wide picture
is drawn like that; in a tall one the band is at the left, down is to the right, and relays stand first among
the routers: what a narrow screen has room for. Lengths are SVG units (pixels at scale 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from lab.model.network import INTERNET, Topology
from lab.view.diagrams.branches import Branch, depths, tree
from lab.view.diagrams.labels import Edge, Label, edges, labels

# All text is monospaced, so that its width is known without a font: 0.602 em in DejaVu Sans Mono
# and Menlo, less in others.
NAME_CHAR, NAME_LINE = 8.7, 19.0  # 14 px
LINE_CHAR, LINE = 7.2, 15.0  # 11.5 px
PADDING = 12.0
MARGIN = 12.0
GAP = 18.0  # between neighbours in a row
STEP = 46.0  # between rows
ELBOW = 18.0  # how far below a router its links part
PORT = 26.0  # between the uplinks of one host
BAND = 40.0
HEAD = 92.0  # the band's name stands before the first link to it
WORDS = 12.0  # between words above a link, or by a machine, and it
BESIDE = 16.0  # between a link and the words at its right: the page draws lines there


@dataclass(frozen=True, slots=True)
class Box:
    label: Label
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Line:
    edge: Edge
    points: tuple[tuple[float, float], ...]  # from the lower machine to the upper


@dataclass(frozen=True, slots=True)
class Picture:
    is_tall: bool
    width: float
    height: float
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]

    def box(self, name: str) -> Box:
        return next(box for box in self.boxes if box.label.name == name)


def draw(topology: Topology, tall: bool = False) -> Picture:
    """The picture of a topology."""
    return _Drawing(topology, tall).picture()


@dataclass(frozen=True, slots=True)
class _Size:
    across: float
    down: float


class _Drawing:
    def __init__(self, topology: Topology, tall: bool) -> None:
        self.tall = tall
        self.labels = {label.name: label for label in labels(topology, short=True)}
        self.edges = list(edges(topology))
        self.relays = [relay.name for relay in topology.relays]
        self.sizes = {name: self._size(label) for name, label in self.labels.items()}
        self.words = {edge.lower: self._words(edge) for edge in self.edges if edge.words}
        self.rows = _rows(topology, tall)
        self.tops = self._tops()
        self.centres, self.extent = self._centres(tree(topology))

    def _size(self, label: Label) -> _Size:
        lines = max((len(line) for line in label.lines), default=0) * LINE_CHAR
        width = max(len(label.name) * NAME_CHAR, lines) + 2 * PADDING
        return self._turned(width, NAME_LINE + len(label.lines) * LINE + PADDING)

    def _words(self, edge: Edge) -> _Size:
        width = max(map(len, edge.words)) * LINE_CHAR + (WORDS if self.tall else BESIDE)
        return self._turned(width, len(edge.words) * LINE + WORDS)

    def _turned(self, width: float, height: float) -> _Size:
        return _Size(height, width) if self.tall else _Size(width, height)

    # --- down: the rows

    def _tops(self) -> dict[int, float]:
        """Where each row starts."""
        tops, at = {}, MARGIN
        for row in range(max(self.rows.values()) + 1):
            names = [name for name, own in self.rows.items() if own == row]
            if row > 1:
                at += STEP + max((self._room(name) for name in names), default=0.0)
            tops[row] = at
            at += BAND if row == 1 else max((self.sizes[name].down for name in names), default=0.0)
            if row == 0 and names:
                at += STEP / 2 + max(map(self._room, names))
        return tops | {max(tops) + 1: at}

    def _room(self, name: str) -> float:
        """What the words on a machine's link need between the rows."""
        return self.words[name].down if name in self.words else 0.0

    # --- across: the tree, spread out

    def _centres(self, internet: Branch) -> tuple[dict[str, float], float]:
        """Each machine's middle, and how long all is."""
        relays = tuple(map(Branch, self.relays))
        branches = (*relays, *internet.children) if self.tall else internet.children
        centres: dict[str, float] = {}
        lead = max(0.0, HEAD - self._lead(branches))
        end = self._spread(branches, MARGIN + lead, centres)
        if not self.tall:
            end = self._spread_relays(MARGIN, end + lead, centres)
        centres[INTERNET] = (MARGIN + end) / 2
        return centres, end

    def _lead(self, branches: tuple[Branch, ...]) -> float:
        return self._own(branches[0]) / 2 if branches else 0.0

    def _own(self, branch: Branch) -> float:
        """What a machine needs for itself: its box, or the words beside its link."""
        words = self.words.get(branch.name)
        return max(self.sizes[branch.name].across, 2 * words.across if words else 0.0) + GAP

    def _extent(self, branch: Branch) -> float:
        return max(self._own(branch), sum(map(self._extent, branch.children)))

    def _spread(
        self, branches: tuple[Branch, ...], start: float, centres: dict[str, float]
    ) -> float:
        """Puts branches side by side, each parent over its children; returns where they end."""
        for branch in branches:
            extent, own = self._extent(branch), self._own(branch)
            inner = sum(map(self._extent, branch.children))
            self._spread(branch.children, start + (extent - inner) / 2, centres)
            ends = [centres[child.name] for child in branch.children] or [start + extent / 2]
            middle = (ends[0] + ends[-1]) / 2
            centres[branch.name] = min(max(middle, start + own / 2), start + extent - own / 2)
            start += extent
        return start

    def _spread_relays(self, start: float, end: float, centres: dict[str, float]) -> float:
        """Evenly above the band, which grows where they need more."""
        needs = [self._own(Branch(name)) for name in self.relays]
        end = max(end, start + sum(needs))
        slack, at = (end - start - sum(needs)) / (len(needs) + 1), start
        for name, need in zip(self.relays, needs, strict=True):
            centres[name] = at + slack + need / 2
            at += slack + need
        return end

    # --- what comes out

    def picture(self) -> Picture:
        across, down = self.extent + MARGIN - GAP / 2, self.tops[max(self.tops)] + MARGIN
        width, height = self._point(across, down)
        boxes = tuple(self._box(name) for name in self.labels)
        return Picture(self.tall, width, height, boxes, tuple(self._lines()))

    def _point(self, across: float, down: float) -> tuple[float, float]:
        point = (round(across, 1), round(down, 1))
        return point[::-1] if self.tall else point

    def _box(self, name: str) -> Box:
        size, middle = self.sizes[name], self.centres[name]
        if name == INTERNET:
            size = _Size(self.extent - MARGIN - GAP / 2, BAND)
            middle = MARGIN + size.across / 2
        x, y = self._point(middle - size.across / 2, self.tops[self.rows[name]])
        width, height = self._point(size.across, size.down)
        return Box(self.labels[name], x, y, width, height)

    def _lines(self) -> Iterator[Line]:
        ports = dict(self._ports())
        for edge in self.edges:
            corners = self._corners(edge, ports[edge.uplink])
            points = tuple(self._point(*corner) for corner in corners)
            kept = [points[0], *(b for a, b in pairwise(points) if a != b)]
            yield Line(edge, tuple(kept))

    def _corners(self, edge: Edge, port: float) -> list[tuple[float, float]]:
        lower, upper = self.tops[self.rows[edge.lower]], self.tops[self.rows[edge.upper]]
        if edge.upper == INTERNET:
            if lower < upper:  # a relay, above the band
                return [(port, lower + self.sizes[edge.lower].down), (port, upper)]
            return [(port, lower), (port, upper + BAND)]
        below = upper + self.sizes[edge.upper].down
        over = self.centres[edge.upper]
        return [(port, lower), (port, below + ELBOW), (over, below + ELBOW), (over, below)]

    def _ports(self) -> Iterator[tuple[str, float]]:
        """Where each uplink leaves its machine: side by side, in the order of what they lead to."""
        by_lower: dict[str, list[Edge]] = {}
        for edge in self.edges:
            by_lower.setdefault(edge.lower, []).append(edge)
        for lower, own in by_lower.items():
            own.sort(key=lambda edge: self.centres[edge.upper])
            for n, edge in enumerate(own):
                yield edge.uplink, self.centres[lower] + (n - (len(own) - 1) / 2) * PORT


def _rows(topology: Topology, tall: bool) -> Mapping[str, int]:
    """Relays 0, the internet 1, routers below it as deep as they are, and hosts last."""
    deep = depths(topology)
    last = 2 + max(deep.values(), default=0)
    rows = {INTERNET: 1}
    rows |= {relay.name: 2 if tall else 0 for relay in topology.relays}
    rows |= {router: 1 + depth for router, depth in deep.items()}
    return rows | {host.name: last for host in topology.hosts}
