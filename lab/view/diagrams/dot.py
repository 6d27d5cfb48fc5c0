"""A topology in Graphviz's language: `lab.graph NAME --format dot | dot -Tpdf -o net.pdf`.

Graphviz is not needed to write it. Ranks go by kind: relays on top, hosts at the bottom.
"""

from __future__ import annotations

from collections.abc import Iterator

from lab.model.network import Topology
from lab.view.diagrams.labels import Edge, Label, edges, labels

SHAPES = {"internet": "ellipse", "relay": "cylinder", "router": "hexagon", "host": "box"}
STYLE = (
    "rankdir=TB; splines=true; nodesep=0.4; ranksep=0.6;",
    'node [fontname="DejaVu Sans", fontsize=11, margin="0.15,0.08"];',
    'edge [arrowhead=none, fontname="DejaVu Sans", fontsize=10];',
)


def dot(topology: Topology) -> str:
    """Edges lead downwards, from the machine above: that is what ranks them."""
    lines = [f"digraph {_text(topology.name)} {{", f"    label={_text(topology.title)};"]
    lines += [f"    {line}" for line in STYLE]
    lines += [f"    {_node(label)}" for label in labels(topology)]
    relays = {relay.name for relay in topology.relays}
    lines += [f"    {_edge(edge, edge.lower in relays)}" for edge in edges(topology)]
    lines += [f"    {rank}" for rank in _ranks(topology)]
    return "\n".join([*lines, "}"]) + "\n"


def _node(label: Label) -> str:
    text = _text(label.name, *label.lines)
    return f"{_text(label.name)} [shape={SHAPES[label.kind]}, label={text}];"


def _edge(edge: Edge, is_relays: bool) -> str:
    """A relay's leads from the relay, so that it stands above the internet."""
    ends = (edge.lower, edge.upper) if is_relays else (edge.upper, edge.lower)
    label = f" [label={_text(*edge.words)}]" if edge.words else ""
    return f"{_text(ends[0])} -> {_text(ends[1])}{label};"


def _ranks(topology: Topology) -> Iterator[str]:
    for rank, names in (("min", topology.relays), ("max", topology.hosts)):
        if names:
            yield f"{{rank={rank}; " + " ".join(_text(each.name) + ";" for each in names) + "}"


def _text(*lines: str) -> str:
    r"""A quoted string: only the quote and the backslash mean something in it; `\n` centres a line."""
    safe = (line.replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return '"' + "\\n".join(safe) + '"'
