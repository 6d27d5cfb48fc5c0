"""Labs as wholes: up, down, and which there are."""

from __future__ import annotations

import time
from typing import Any

from lab.commands.command import command, overrides, say, show


@command(
    "topology",
    iterable=["set"],
    help={
        "topology": "a name (see lab.topologies), or a path that ends in .toml",
        "name": "what to call the lab; its topology's name if left out",
        "set": "override one value: --set router.home-a.nat=symmetric; may be repeated",
        "json": "print the lab's status as one JSON document",
    },
)
def up(c: Any, topology: str, name: str = "", set: Any = None, json: bool = False) -> None:
    """Build a lab and start its daemons.

    Example: invoke lab.up topology=double-nat

    Returns when every daemon is ready. Up twice with the same input says so and changes nothing.
    """
    from lab import client
    from lab.model.topology import load
    from lab.view import terminal

    started = time.monotonic()
    wanted = load(topology, overrides(set))
    lab = client.Lab.up(wanted, name or None, progress=say)
    if json:
        show(lab.status())
        return
    print(terminal.lab_is_up(lab.plan(), lab.name, lab.status(), time.monotonic() - started))


@command("name", help={"name": "the lab's name, or `all`", "json": "one JSON document"})
def down(c: Any, name: str, json: bool = False) -> None:
    """Take a lab down; it is gone when this returns.

    Example: invoke lab.down double-nat
    """
    from lab import client

    found = []
    for one in client.Lab.running() if name == "all" else [name]:
        found.append({"lab": one, "was_up": client.down(one)})
        if not json:
            print(f"{one} is down" if found[-1]["was_up"] else f"{one} was not up")
    if json:
        show(found)


@command(name="list", help={"json": "one JSON document"})
def list_(c: Any, json: bool = False) -> None:
    """The labs that are running.

    Example: invoke lab.list
    """
    from lab import client
    from lab.view import terminal

    names = client.Lab.running()
    if json:
        show(names)
    else:
        first = f"{terminal.program()} lab.up topology=nat-pair"
        print("\n".join(names) or f"no lab is running; start one: {first}")


@command(help={"json": "one JSON document"})
def topologies(c: Any, json: bool = False) -> None:
    """The topologies that come with punchlab, in a line each.

    Example: invoke lab.topologies
    """
    from lab.model.topology import known
    from lab.view import terminal

    if json:
        show([{"name": name, "title": title} for name, title in known()])
    else:
        print(terminal.columns([list(row) for row in known()]))


@command("name", help={"name": "the lab's name", "json": "one JSON document"})
def status(c: Any, name: str, json: bool = False) -> None:
    """Hosts, daemons, and the path of every pair.

    Example: invoke lab.status double-nat
    """
    from lab import client
    from lab.view import terminal

    now = client.Lab.attach(name).status()
    if json:
        show(now)
    else:
        print(terminal.status(now))
