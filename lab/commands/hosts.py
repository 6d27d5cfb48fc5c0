"""One host of a running lab: run things in it, read what it says, pull its cable."""

from __future__ import annotations

import json as jsonlib
from typing import Any

from invoke.exceptions import Exit

from lab.commands.command import command, remainder, show

NAME = {"name": "the lab's name"}
JSON = {"json": "one JSON document"}
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
    """A shell in a host, or in the lab outside all hosts.

    Example: invoke lab.shell double-nat

    In the lab `ip netns` shows every host.
    """
    from lab import client

    raise Exit(code=client.Lab.attach(name).shell(host or None))


@command(
    "name",
    help=NAME
    | {
        "follow": "go on until Ctrl-C or until the lab is down",
        "story": "sentences instead, of what means something to people",
    },
)
def events(c: Any, name: str, follow: bool = False, story: bool = False) -> None:
    """What has happened, one JSON line each, on one clock.

    Example: invoke lab.events double-nat --follow
    """
    from lab import client
    from lab.view.story import Teller, told

    teller = Teller()
    for event in client.Lab.attach(name).events(follow=follow):
        if not story:
            print(jsonlib.dumps(event), flush=True)
        elif (sentence := told(teller, event)) is not None:
            print(f"{sentence.at:12.3f}  {sentence.text}", flush=True)


@command("name", help=NAME | HOST | {"json": "one JSON line a line"})
def logs(c: Any, name: str, host: str = "", json: bool = False) -> None:
    """What the daemons wrote on stderr.

    Example: invoke lab.logs double-nat --host node-a
    """
    from lab import client

    for machine, line in client.Lab.attach(name).logs(host or None):
        print(jsonlib.dumps({"host": machine, "line": line}) if json else f"{machine}: {line}")


@command("name", "host", help=NAME | HOST | JSON)
def unplug(c: Any, name: str, host: str, json: bool = False) -> None:
    """Pull a machine's cable.

    Example: invoke lab.unplug double-nat nyc
    """
    from lab import client

    wires = client.Lab.attach(name).unplug(host)
    if json:
        show({"host": host, "is_plugged": False, "wires": wires})
        return
    print(f"{host} is unplugged ({', '.join(wires)}); lab.plug {name} {host} puts the cable back")


@command("name", "host", help=NAME | HOST | JSON)
def plug(c: Any, name: str, host: str, json: bool = False) -> None:
    """Put a machine's cable back.

    Example: invoke lab.plug double-nat nyc
    """
    from lab import client

    wires = client.Lab.attach(name).plug(host)
    if json:
        show({"host": host, "is_plugged": True, "wires": wires})
        return
    print(f"{host} is plugged in again ({', '.join(wires)})")
