"""What can be changed while a lab runs, beside its links: NATs, single flows, cables, daemons."""

from __future__ import annotations

from typing import Any

from invoke.exceptions import Exit

from lab.commands.command import command, show

NAME = {"name": "the lab's name"}
PAIR = {"a": "a machine", "b": "another one", "json": "one JSON document"}


@command(
    "name",
    "router",
    help=NAME
    | {
        "router": "a router of the lab",
        "profile": "a preset's name, or words: '{ mapping = \"address-dependent\" }'",
        "flush": "forget all flows and mappings, as a reboot does",
        "wan": "its address outside; several, with commas between, are a pool",
        "json": "one JSON document",
    },
)
def nat(
    c: Any,
    name: str,
    router: str,
    profile: str = "",
    flush: bool = False,
    wan: str = "",
    json: bool = False,
) -> None:
    """Change a router's NAT, live.

    Example: invoke lab.nat double-nat home-a --profile symmetric

    Open flows feel it; if it fails the old rules stay.
    """
    from lab import client
    from lab.view import terminal

    addresses = [each.strip() for each in wan.split(",")] if wan else []
    answer = client.Lab.attach(name).nat(router, profile, flush=flush, wan=addresses)
    show(answer) if json else print(terminal.nat(answer))


@command(
    "name",
    "a",
    "b",
    help=NAME | PAIR | {"one-way": "only what A sends", "reset": "answer TCP with a reset"},
)
def cut(
    c: Any,
    name: str,
    a: str,
    b: str,
    one_way: bool = False,
    reset: bool = False,
    json: bool = False,
) -> None:
    """Drop what two machines send each other; all else passes.

    Example: invoke lab.cut double-nat node-a node-b

    Packets of open flows are dropped too.
    """
    from lab import client
    from lab.view import terminal

    answer = client.Lab.attach(name).cut(a, b, one_way=one_way, reset=reset)
    show(answer) if json else print(terminal.cut(answer))


@command("name", "a", "b", help=NAME | PAIR)
def restore(c: Any, name: str, a: str, b: str, json: bool = False) -> None:
    """Let two machines reach each other again.

    Example: invoke lab.restore double-nat node-a node-b
    """
    from lab import client
    from lab.view import terminal

    answer = client.Lab.attach(name).restore(a, b)
    show(answer) if json else print(terminal.restored(answer))


@command("name", help=NAME | {"json": "one JSON document"})
def cuts(c: Any, name: str, json: bool = False) -> None:
    """What is cut, and how many packets that has dropped so far.

    Example: invoke lab.cuts double-nat
    """
    from lab import client
    from lab.view import terminal

    found = client.Lab.attach(name).cuts()
    show(found) if json else print(terminal.cuts(found))


@command(
    "name",
    "host",
    "router",
    help=NAME | {"host": "a host", "router": "a router", "json": "one JSON document"},
)
def move(c: Any, name: str, host: str, router: str, json: bool = False) -> None:
    """Plug a host into another router.

    Example: invoke lab.move double-nat node-a home-b

    It gets an address of that LAN.
    """
    from lab import client
    from lab.view import terminal

    answer = client.Lab.attach(name).move(host, router)
    show(answer) if json else print(terminal.moved(answer))


@command(
    "name",
    "host",
    help=NAME
    | {
        "host": "a machine that runs a daemon",
        "stop": "ask it to end (SIGTERM)",
        "start": "start it again, with the same key",
        "restart": "stop and start",
        "kill": "end it without asking (SIGKILL)",
        "freeze": "halt it where it is (SIGSTOP)",
        "thaw": "let it go on (SIGCONT)",
        "json": "one JSON document",
    },
)
def daemon(
    c: Any,
    name: str,
    host: str,
    stop: bool = False,
    start: bool = False,
    restart: bool = False,
    kill: bool = False,
    freeze: bool = False,
    thaw: bool = False,
    json: bool = False,
) -> None:
    """Stop, start, kill or freeze a host's daemon.

    Example: invoke lab.daemon double-nat node-a --restart

    Returns when it is so.
    """
    from lab import client

    known = {
        "stop": stop,
        "start": start,
        "restart": restart,
        "kill": kill,
        "freeze": freeze,
        "thaw": thaw,
    }
    asked = [action for action, wanted in known.items() if wanted]
    if len(asked) != 1:
        flags = ", ".join(f"--{action}" for action in known)
        raise Exit(f"say one of {flags}", 2)
    lab = client.Lab.attach(name)
    lab.daemon(host, asked[0])
    [now] = [each["daemon"] for each in lab.status()["hosts"] if each["name"] == host]
    if json:
        show({"host": host, "daemon": now})
        return
    print(f"{host}: its {now['name']} is {now['state']}, pid {now['pid'] or '-'}")
