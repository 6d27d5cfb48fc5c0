"""What would be built, and whether this machine can: nothing here builds anything or needs privileges."""

from __future__ import annotations

from typing import Any

from invoke.exceptions import Exit

from lab.commands.command import command, overrides, show

TOPOLOGY = {
    "topology": "a name (see lab.topologies), or a path that ends in .toml",
    "set": "override one value: --set router.home-a.nat=symmetric; may be repeated",
}


@command("topology", iterable=["set"], help=TOPOLOGY | {"json": "the whole plan, as JSON"})
def plan(c: Any, topology: str, set: Any = None, json: bool = False) -> None:
    """Everything that lab.up would make.

    Example: invoke lab.plan double-nat
    """
    from lab.model.layout import plan_of
    from lab.model.topology import load
    from lab.view import terminal

    planned = plan_of(load(topology, overrides(set)))
    if json:
        print(planned.to_json())
    else:
        bent = any(not wire.quality.is_clean for wire in planned.wires)
        print(terminal.plan(planned, _bent_by() if bent else ""))


def _bent_by() -> str:
    """What makes delay, loss and the rest here."""
    from lab import client

    [found] = client.doctor(only="bent links")
    return str(found["found"] if found["ok"] else f"{found['found']} ({found['hint']})")


@command("topology", iterable=["set"], help=TOPOLOGY | {"format": "mermaid, dot or svg"})
def graph(c: Any, topology: str, set: Any = None, format: str = "mermaid") -> None:
    """The topology as a diagram: mermaid, dot or SVG.

    Example: invoke lab.graph double-nat --format svg > double-nat.svg
    """
    from lab.model.topology import load
    from lab.view.diagrams.dot import dot
    from lab.view.diagrams.mermaid import mermaid
    from lab.view.diagrams.svg import svg

    formats = {"mermaid": mermaid, "dot": dot, "svg": svg}
    if format not in formats:
        raise Exit(f"format {format!r} is not known; there is: {', '.join(formats)}", 2)
    print(formats[format](load(topology, overrides(set))), end="")


@command(help={"json": "one JSON document"})
def doctor(c: Any, json: bool = False) -> None:
    """What this machine can do, and what to do about the rest.

    Example: invoke lab.doctor

    Exit 3 if a lab cannot run.
    """
    from lab import client
    from lab.view import terminal

    found = client.doctor()
    show(found) if json else print(terminal.doctor(found))
    if any(one["needed"] and not one["ok"] for one in found):
        raise Exit(code=3)
