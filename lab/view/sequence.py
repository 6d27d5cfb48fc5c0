"""An upgrade as a Mermaid sequence diagram: both hosts, the relay between them, and what went to and fro.

Dotted arrows go over the relay, crossed ones are tries, solid ones are direct; times are since the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]
ARROWS = {"try": "--)", "direct": "->>"}


def sequence(upgrade: Json) -> str:
    names = [upgrade["a"], upgrade["relay"], upgrade["b"]]
    ids = {name: f"m{n}" for n, name in enumerate(names)}
    lines = ["sequenceDiagram"]
    lines += [f"    participant {ids[name]} as {_text(name)}" for name in names]
    for step in upgrade["steps"]:
        words = f"{since(upgrade, step)} {_text(step['what'])}"
        lines += [f"    {line}" for line in _step(step, ids, ids[upgrade["relay"]], words)]
    return "\n".join(lines) + "\n"


def since(upgrade: Json, step: Json) -> str:
    return f"{(step['at'] - upgrade['begins']) * 1e3:.1f} ms"


def _step(step: Json, ids: Mapping[str, str], relay: str, words: str) -> Iterator[str]:
    source, target = ids[step["source"]], ids[step["target"]]
    if step["way"] == "note":
        yield f"Note over {source}: {words}"
    elif step["way"] == "relay":
        yield f"{source}-->>{relay}: {words}"
        yield f"{relay}-->>{target}: ."
    else:
        yield f"{source}{ARROWS[step['way']]}{target}: {words}"


def _text(words: str) -> str:
    """Mermaid ends a message at a semicolon, and reads a hash as the head of an entity."""
    return words.translate({ord("#"): "#35;", ord(";"): "#59;", ord("\n"): " "})
