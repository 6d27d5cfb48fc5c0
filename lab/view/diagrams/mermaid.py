"""A topology as a mermaid flowchart: paste it where Markdown is drawn.

Each machine's shape is its kind: the internet a circle, a router a hexagon, a relay a cylinder, a
host a box. The identifiers are numbers, for mermaid reads some names (`end`, `o...`, `x...`) as its own.
"""

from __future__ import annotations

from json import dumps  # JSON is YAML, which a flowchart's head is

from lab.model.network import INTERNET, Topology
from lab.view.diagrams.labels import edges, labels

BREAK = "<br/>"
SHAPES = {"internet": "(({}))", "relay": "[({})]", "router": "{{{{{}}}}}", "host": "[{}]"}


def mermaid(topology: Topology) -> str:
    ids = {name: f"m{n}" for n, name in enumerate((INTERNET, *topology.names))}
    lines = ["---", f"title: {dumps(topology.title, ensure_ascii=False)}", "---", "flowchart TD"]
    for label in labels(topology):
        shape = SHAPES[label.kind].format(_text(label.name, *label.lines))
        lines.append(f"    {ids[label.name]}{shape}")
    for edge in edges(topology):
        line = f"---|{_text(', '.join(edge.words))}|" if edge.words else "---"
        lines.append(f"    {ids[edge.upper]} {line} {ids[edge.lower]}")
    return "\n".join(lines) + "\n"


def _text(*lines: str) -> str:
    """Quoted, with the characters that mermaid would read as its own as entities."""
    safe = (line.replace("#", "#35;").replace('"', "#quot;") for line in lines)
    return f'"{BREAK.join(safe)}"'
