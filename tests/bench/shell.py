"""`invoke lab.up topology=double-nat` as people type it, and where its time goes; then the rest of a visit.

Two NATs on both sides, a relay and two nodes. The steps are told apart by what each leaves behind: the
keeper's file with its number, its events, and the end of the command. What runs inside does nothing
(`true`, as the command and as the shell), so that its start is all that is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

from lab.client import Lab
from tests.bench.figures import Table, median

NAME = "double-nat"
INVOKE = Path(sys.executable).with_name("invoke")
ROOT = Path(__file__).parents[2]
STEPS = (
    "the command's Python: invoke, topology, plan",
    "the keeper's Python",
    "namespaces, wires, rules",
    "daemons: relay and nodes, each a Python",
    "the summary, and the command's end",
)
# Whole commands, and the milliseconds that each may take.
COMMANDS = {
    f"lab.up topology={NAME}": 1500,
    f"lab.exec {NAME} node-a -- true": 1000,
    f"lab.shell {NAME} --host node-a": 1000,
    f"lab.down {NAME}": 500,
}


def measure(rounds: int) -> Table:
    runs = [once() for _ in range(rounds)]
    took = {what: 1000 * median([run[what] for run in runs]) for what in (*STEPS, *COMMANDS)}
    table = Table("double-nat from the shell: milliseconds (medians)", ["", "ms"])
    for what, milliseconds in took.items():
        table.add([what, f"{milliseconds:.0f}"])
    for words, bound in COMMANDS.items():
        table.at_most(bound, "ms", f"invoke {words}", took[words])
    return table


def once() -> dict[str, float]:
    """Seconds, by STEPS and COMMANDS."""
    up, *others = COMMANDS
    start = time.monotonic()
    command(up)
    end = time.monotonic()
    took = dict(zip(STEPS, steps(start, end), strict=True)) | {up: end - start}
    for words in others:
        start = time.monotonic()
        command(words)
        took[words] = time.monotonic() - start
    return took


def steps(start: float, end: float) -> list[float]:
    """Where the seconds of lab.up went, in the order of STEPS."""
    lab = Lab.attach(NAME)
    wall = time.time() - time.monotonic()
    keeper = (lab.folder / "pid").stat().st_mtime - wall
    events = list(lab.events())
    [up] = [event for event in events if event["event"] == "up"]
    daemons = [event for event in events if event["event"] == "daemon"]
    built = next(event["at"] for event in daemons if event["state"] == "starting")
    marks = [start, keeper, up["at"] - up["seconds"], built, up["at"], end]
    return [after - before for before, after in pairwise(marks)]


def command(words: str) -> None:
    quiet, env = subprocess.DEVNULL, os.environ | {"SHELL": "/bin/true"}
    argv = [str(INVOKE), *words.split()]
    subprocess.run(argv, cwd=ROOT, env=env, stdout=quiet, stderr=quiet, check=True)
