"""A picture as SVG: light or dark as the reader's system, read out by screen readers, nothing fetched.

Each machine is a group with `data-machine`, each link a polyline with `data-wire`: a page finds them so.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from lab.model.network import Topology
from lab.view.diagrams.labels import Edge, edges, labels
from lab.view.diagrams.picture import (
    BESIDE,
    LINE,
    NAME_LINE,
    PADDING,
    WORDS,
    Box,
    Line,
    Picture,
    draw,
)

STYLE = Path(__file__).with_name("svg.css")
CORNER = {"internet": 10.0, "router": 4.0, "host": 10.0}  # a relay's ends are round
ASCENT = 14.0  # from the top of a name's line to its baseline


def svg(topology: Topology, tall: bool = False) -> str:
    """A file that stands by itself."""
    style = f"<style>\n{STYLE.read_text(encoding='utf-8')}</style>"
    return drawing(draw(topology, tall), topology, style)


def drawing(picture: Picture, topology: Topology, style: str = "") -> str:
    """Without a style it is for a page that has one."""
    return "\n".join(_parts(picture, topology, style)) + "\n"


def _parts(picture: Picture, topology: Topology, style: str) -> Iterator[str]:
    size = f"{picture.width:g} {picture.height:g}"
    width, height = size.split()
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" viewBox="0 0 {size}" '
        f'width="{width}" height="{height}" role="img" aria-labelledby="drawing-title drawing-desc">'
    )
    yield f'<title id="drawing-title">{escape(topology.title)}</title>'
    yield f'<desc id="drawing-desc">{escape(described(topology))}</desc>'
    if style:
        yield style
    yield f'<rect class="paper" width="{width}" height="{height}"/>'
    yield '<g class="wires">'
    yield from map(_wire, picture.lines)
    yield "</g>"
    yield '<g class="words">'  # above what a page draws along the wires
    for line in picture.lines:
        yield from _words(line, picture)
    yield "</g>"
    yield '<g class="machines">'
    full = {label.name: ", ".join((label.name, *label.lines)) for label in labels(topology)}
    for box in picture.boxes:
        yield from _machine(box, full[box.label.name], picture.is_tall)
    yield "</g>"
    yield "</svg>"


def described(topology: Topology) -> str:
    """The drawing in words: what hangs below what."""
    below: dict[str, list[Edge]] = {}
    for edge in edges(topology):
        below.setdefault(edge.upper, []).append(edge)
    return " ".join(f"{upper} joins {_listed(lower)}." for upper, lower in below.items())


def _listed(below: list[Edge]) -> str:
    *first, last = [
        f"{edge.lower} ({', '.join(edge.words)})" if edge.words else edge.lower for edge in below
    ]
    return f"{', '.join(first)} and {last}" if first else last


def _wire(line: Line) -> str:
    points = " ".join(f"{x:g},{y:g}" for x, y in line.points)
    names = {"wire": line.edge.uplink, "lower": line.edge.lower, "upper": line.edge.upper}
    data = " ".join(f'data-{key}="{escape(name, quote=True)}"' for key, name in names.items())
    return f'<polyline class="wire" {data} points="{points}"/>'


def _words(line: Line, picture: Picture) -> Iterator[str]:
    """Beside a link that goes down, above one that goes across: by its lower end, clear of its corners."""
    (x, y), (_, next_y) = line.points[:2]
    lines = line.edge.words
    x, anchor = (x - WORDS, "end") if picture.is_tall else (x + BESIDE, "start")
    y += len(lines) * LINE + WORDS - 2 if next_y > y else -WORDS  # a relay's leads down
    for n, text in enumerate(lines):
        at = y - (len(lines) - 1 - n) * LINE
        yield f'<text x="{x:g}" y="{at:g}" text-anchor="{anchor}">{escape(text)}</text>'


def _machine(box: Box, title: str, is_tall: bool) -> Iterator[str]:
    label = box.label
    yield f'<g class="machine {label.kind}" data-machine="{escape(label.name, quote=True)}">'
    yield f"<title>{escape(title)}</title>"
    corner = CORNER.get(label.kind, min(box.height / 2, 22.0))
    yield (
        f'<rect class="box" x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" '
        f'height="{box.height:g}" rx="{corner:g}"/>'
    )
    yield from _band_name(box, is_tall) if label.kind == "internet" else _text(box)
    yield "</g>"


def _text(box: Box) -> Iterator[str]:
    x, y = box.x + box.width / 2, box.y + PADDING / 2
    name = escape(box.label.name)
    yield f'<text class="name" x="{x:g}" y="{y + ASCENT:g}" text-anchor="middle">{name}</text>'
    for n, line in enumerate(box.label.lines):
        at = y + NAME_LINE + n * LINE + LINE - 4
        yield f'<text x="{x:g}" y="{at:g}" text-anchor="middle">{escape(line)}</text>'


def _band_name(box: Box, is_tall: bool) -> Iterator[str]:
    name = escape(box.label.name)
    if is_tall:
        x, y = box.x + box.width / 2 + 5, box.y + PADDING
        yield f'<text class="name" transform="translate({x - 10:g} {y:g}) rotate(90)">{name}</text>'
    else:
        x, y = box.x + PADDING, box.y + box.height / 2 + 5
        yield f'<text class="name" x="{x:g}" y="{y:g}">{name}</text>'
