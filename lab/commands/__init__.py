"""The lab's commands, as one Invoke collection: the table of contents that `invoke --list` prints.

Each command is a few typed lines: it reads what a person typed, asks the client or the model, and hands
the answer to the view. Heavy imports wait until a command needs them, so that each starts at once.
"""

from __future__ import annotations

from invoke.collection import Collection

from lab.commands import (
    capture,
    demo,
    evidence,
    explain,
    hosts,
    labs,
    links,
    live,
    matrix,
    paths,
    plans,
    probe,
)
from lab.commands.contents import in_order


def collection() -> Collection:
    tasks = [
        *(labs.up, demo.demo, labs.status, labs.list_, labs.down),
        *(paths.ping, paths.wait, explain.explain),
        *(hosts.exec_, hosts.shell, hosts.events, hosts.logs, capture.capture),
        *(hosts.unplug, hosts.plug, links.link, links.links_),
        *(live.nat, live.cut, live.restore, live.cuts, live.move, live.daemon),
        *(evidence.evidence, probe.probe, matrix.matrix),
        *(labs.topologies, plans.plan, plans.graph, plans.doctor),
    ]
    found = Collection("lab")
    for one in tasks:
        found.add_task(one)
    return in_order(found)
