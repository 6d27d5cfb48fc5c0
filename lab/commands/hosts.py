"""One host of a running lab: run things in it, read what it says, pull its cable."""

from __future__ import annotations

import json as jsonlib
from typing import Any

from invoke.exceptions import Exit

from lab.commands.command import command, remainder

NAME = {"name": "the lab's name"}
HOST = {"host": "a machine of the lab, as lab.status names it"}


@command("name", "host", name="exec", help=NAME | HOST)
def exec_(c: Any, name: str, host: str) -> None:
    """Run a command in a host, with its exit status.

    Example: invoke lab.exec double-nat node-a -- ping -c3 node-b
    """
    from lab import client

    argv = remainder()
    if not argv:
        raise Exit(f"nothing to run: put the command after `--`: lab.exec {name} {host} -- id", 2)
    raise Exit(code=client.Lab.attach(name).exec(host, argv))


@command("name", help=NAME | HOST)
def shell(c: Any, name: str, host: str = "") -> None:
    """A shell in a host, or in the lab, where `ip netns` shows every host.

    Example: invoke lab.shell double-nat
    """
    from lab import client

    raise Exit(code=client.Lab.attach(name).shell(host or None))


@command("name", help=NAME | {"follow": "go on until Ctrl-C or until the lab is down"})
def events(c: Any, name: str, follow: bool = False) -> None:
    """What has happened, one JSON line each, on one clock.

    Example: invoke lab.events double-nat --follow
    """
    from lab import client

    for event in client.Lab.attach(name).events(follow=follow):
        print(jsonlib.dumps(event), flush=True)


@command("name", help=NAME | HOST)
def logs(c: Any, name: str, host: str = "") -> None:
    """What the daemons wrote on stderr.

    Example: invoke lab.logs double-nat --host node-a
    """
    from lab import client

    for machine, line in client.Lab.attach(name).logs(host or None):
        print(f"{machine}: {line}")


@command("name", "host", help=NAME | HOST)
def unplug(c: Any, name: str, host: str) -> None:
    """Pull a machine's cable.

    Example: invoke lab.unplug double-nat nyc
    """
    from lab import client

    wires = client.Lab.attach(name).unplug(host)
    print(f"{host} is unplugged ({', '.join(wires)}); lab.plug {name} {host} puts the cable back")


@command("name", "host", help=NAME | HOST)
def plug(c: Any, name: str, host: str) -> None:
    """Put a machine's cable back.

    Example: invoke lab.plug double-nat nyc
    """
    from lab import client

    wires = client.Lab.attach(name).plug(host)
    print(f"{host} is plugged in again ({', '.join(wires)})")
