"""How the paths of a lab went, as lines on one axis of time: relayed, through a peer, direct."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from lab.model.events import Event, PathMoved
from lab.view.story import Sentence, Teller

LABEL, WIDTH, ROW, AXIS = 150, 720, 22, 26  # pixels
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600)  # s between two marks of the axis
MARKS = 10  # at most


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which one path was in use; seconds since the drawing's begin."""

    kind: str
    via: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Upgrades:
    """What the paths and the people did in a span of time."""

    seconds: float
    pairs: dict[str, tuple[Stretch, ...]]  # by "node-a to node-b"
    story: tuple[Sentence, ...]  # their times count from the begin


def upgrades(events: Iterable[Event], begin: float, end: float) -> Upgrades:
    """Of a lab's log, oldest first; what was the case at the begin counts from there."""
    moves: dict[str, list[PathMoved]] = {}
    story: list[Sentence] = []
    teller = Teller()
    for event in events:
        told = teller.tell(event)
        if told and begin <= told.at <= end:
            story.append(Sentence(told.at - begin, told.host, told.text, told.tone))
        if isinstance(event, PathMoved) and event.at <= end:
            moves.setdefault(f"{event.host} to {event.peer}", []).append(event)
    pairs = {pair: tuple(_stretches(found, begin, end)) for pair, found in sorted(moves.items())}
    return Upgrades(max(0.0, end - begin), pairs, tuple(story))


def _stretches(moves: Sequence[PathMoved], begin: float, end: float) -> Iterator[Stretch]:
    ends = [*(later.at for later in moves[1:]), end]
    for move, until in zip(moves, ends, strict=True):
        if until > begin and move.kind != "none":
            yield Stretch(move.kind, move.via or "", max(0.0, move.at - begin), until - begin)


def svg(found: Upgrades) -> str:
    """A row for each pair; its words are in titles, for readers who hover or listen."""
    height = ROW * len(found.pairs) + AXIS
    rows = "".join(
        _row(pair, stretches, found.seconds, n * ROW)
        for n, (pair, stretches) in enumerate(found.pairs.items())
    )
    axis = "".join(_mark(at, found.seconds, height - AXIS) for at in _marks(found.seconds))
    size = f'viewBox="0 0 {LABEL + WIDTH + 30} {height}" width="{LABEL + WIDTH + 30}"'
    return (
        f'<svg class="upgrades" {size} role="img"><title>{_words(found)}</title>{rows}{axis}</svg>'
    )


def _row(pair: str, stretches: Sequence[Stretch], seconds: float, y: int) -> str:
    label = f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(pair)}</text>'
    return label + "".join(_bar(each, seconds, y) for each in stretches)


def _bar(stretch: Stretch, seconds: float, y: int) -> str:
    x, until = (LABEL + WIDTH * at / (seconds or 1) for at in (stretch.begin, stretch.end))
    title = f"{stretch.kind} via {stretch.via} from {stretch.begin:.2f} s to {stretch.end:.2f} s"
    return (
        f'<rect class="{escape(stretch.kind)}" x="{x:.1f}" y="{y + 3}" width="{max(1, until - x):.1f}" '
        f'height="{ROW - 6}"><title>{escape(title)}</title></rect>'
    )


def _marks(seconds: float) -> list[float]:
    step = next((each for each in STEPS if seconds / each <= MARKS), STEPS[-1])
    return [n * step for n in range(int(seconds / step) + 1)]


def _mark(at: float, seconds: float, y: int) -> str:
    x = LABEL + WIDTH * at / (seconds or 1)
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{y + 5}"/>'
    return f'{line}<text x="{x:.1f}" y="{y + 20}" text-anchor="middle">{at:g} s</text>'


def _words(found: Upgrades) -> str:
    told = (
        f"{pair}: " + ", then ".join(f"{each.kind} from {each.begin:.2f} s" for each in stretches)
        for pair, stretches in found.pairs.items()
    )
    return escape("; ".join(told) or "no path")
