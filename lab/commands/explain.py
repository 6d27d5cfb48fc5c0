"""Why a path is what it is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from lab.commands.command import command, say, show


@command(
    "name",
    "a",
    "b",
    help={
        "name": "the lab's name",
        "a": "a host",
        "b": "another one",
        "measure": "measure the routers on the way too: some seconds, and packets of the prober's",
        "json": "one JSON document",
    },
)
def explain(c: Any, name: str, a: str, b: str, measure: bool = False, json: bool = False) -> None:
    """The path in use, the one to expect, and why.

    Example: invoke lab.explain hard-pair node-a node-b

    Which router does what, and what would make it direct.
    """
    from lab import client
    from lab.judge import explain as judge
    from lab.judge.gather import gather
    from lab.view import explained

    def measuring(router: str) -> None:
        say(f"measuring {router}")

    lab = client.Lab.attach(name)
    found = judge.explain(gather(lab, a, b, measuring if measure else None))
    show(asdict(found)) if json else print(explained.text(found))
