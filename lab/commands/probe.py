"""What routers really do, beside what they are called."""

from __future__ import annotations

from typing import Any

from invoke.exceptions import Exit

from lab.commands.command import command, show


@command(
    "name",
    help={
        "name": "the lab's name",
        "router": "this one only",
        "timers": "also watch mappings die, for so many seconds",
        "json": "one JSON document",
    },
)
def probe(c: Any, name: str, router: str = "", timers: float = 0.0, json: bool = False) -> None:
    """Measure what routers do, beside what they are called.

    Example: invoke lab.probe double-nat --router home-a

    From both sides, with no daemon involved, in each family that the router carries; exit 1 if one is
    not what it is called.
    """
    from lab import client
    from lab.judge.judged import judge_all
    from lab.view import probed
    from lab.view.progress import Progress

    lab = client.Lab.attach(name)
    routers = lab.topology().routers
    if router:
        routers = tuple(each for each in routers if each.name == router)
        if not routers:
            raise Exit(f"{name} has no router {router}; lab.status {name} shows what it has", 2)
    judged = list[dict[str, Any]]()
    progress = Progress(len(routers), "routers")
    try:
        for each in routers:
            progress.say(f"measuring {each.name}")
            judged += [one.told() for one in judge_all(lab, each, timers or None)]
            progress.step()
    finally:
        progress.end()
    show(judged) if json else print(probed.table(judged))
    if any(one["disagreements"] for one in judged):
        raise Exit(code=1)
