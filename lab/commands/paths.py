"""The path between two nodes: ask it, wait for it."""

from __future__ import annotations

from typing import Any

from invoke.exceptions import Exit

from lab.commands.command import command, show
from lab.model.path import PATH_KINDS


@command(
    "name",
    "source",
    "target",
    help={
        "name": "the lab's name",
        "source": "the node that pings",
        "target": "the node that answers",
        "until-direct": "stop at the first direct reply; exit 1 if there is none in time",
        "count": "how many pings",
        "timeout": "seconds for all of it",
        "json": "one JSON line a reply",
    },
)
def ping(
    c: Any,
    name: str,
    source: str,
    target: str,
    until_direct: bool = False,
    count: int = 0,
    timeout: float = 0.0,
    json: bool = False,
) -> None:
    """One line a reply, with the way it came.

    Example: invoke lab.ping double-nat node-a node-b --until-direct
    """
    from lab import client

    lab = client.Lab.attach(name)
    argv = lab.ping_argv(
        source,
        target,
        until_direct=until_direct,
        count=count or None,
        timeout=timeout or None,
        json=json,
    )
    if status := lab.exec(source, argv):
        raise Exit(code=status)


@command(
    "name",
    "source",
    "target",
    help={
        "name": "the lab's name",
        "source": "the node whose path it is",
        "target": "where the path leads",
        "path": f"one of {', '.join(PATH_KINDS)}",
        "within": "seconds to wait at the most",
        "json": "one JSON document",
    },
)
def wait(
    c: Any,
    name: str,
    source: str,
    target: str,
    path: str = "direct",
    within: float = 30.0,
    json: bool = False,
) -> None:
    """Wait until a path is of the kind asked for.

    Example: invoke lab.wait double-nat node-a node-b --path direct
    """
    from lab import client

    client.Lab.attach(name).wait_for_path(source, target, path, within)
    if json:
        show({"from": source, "to": target, "kind": path})
        return
    print(f"{source} reaches {target}: {path}")
