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


def collection() -> Collection:
    tasks = [
        *(labs.up, labs.down, labs.list_, labs.topologies, labs.status),
        *(paths.ping, paths.wait, explain.explain),
        *(hosts.exec_, hosts.shell, hosts.events, hosts.logs, hosts.unplug, hosts.plug),
        *(links.link, links.links_),
        *(live.nat, live.cut, live.restore, live.cuts, live.move, live.daemon),
        *(demo.demo, capture.capture, evidence.evidence, probe.probe, matrix.matrix),
        *(plans.plan, plans.graph, plans.doctor),
    ]
    found = Collection("lab")
    for one in tasks:
        found.add_task(one)
    return found
