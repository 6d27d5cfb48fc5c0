"""`invoke lab.up topology=double-nat` as people type it, and where its time goes.

Two NATs on both sides, a relay and two nodes. The steps are told apart by what each leaves behind: the
keeper's file with its number, its events, and the end of the command.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
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
    "lab.up, from the shell until all daemons are ready",
    "lab.down",
)


def measure(rounds: int) -> Table:
    os.environ["PUNCHLAB_STATE"] = tempfile.mkdtemp(prefix="punchlab-bench-")
    runs = [once() for _ in range(rounds)]
    steps = {what: 1000 * median([run[n] for run in runs]) for n, what in enumerate(STEPS)}
    table = Table("double-nat from the shell: milliseconds (medians)", ["", "ms"])
    for what, milliseconds in steps.items():
        table.add([what, f"{milliseconds:.0f}"])
    table.at_most(1500, "ms", "invoke lab.up topology=double-nat", steps[STEPS[-2]])
    table.at_most(500, "ms", "invoke lab.down double-nat", steps[STEPS[-1]])
    return table


def once() -> list[float]:
    """Seconds, in the order of STEPS."""
    start = time.monotonic()
    command("lab.up", f"topology={NAME}")
    end = time.monotonic()
    lab = Lab.attach(NAME)
    wall = time.time() - time.monotonic()
    keeper = (lab.folder / "pid").stat().st_mtime - wall
    events = list(lab.events())
    [up] = [event for event in events if event["event"] == "up"]
    daemons = [event for event in events if event["event"] == "daemon"]
    built = next(event["at"] for event in daemons if event["state"] == "starting")
    marks = [start, keeper, up["at"] - up["seconds"], built, up["at"], end]
    start = time.monotonic()
    command("lab.down", NAME)
    steps = [after - before for before, after in pairwise(marks)]
    return [*steps, sum(steps), time.monotonic() - start]


def command(*words: str) -> None:
    quiet = subprocess.DEVNULL
    subprocess.run([INVOKE, *words], cwd=ROOT, stdout=quiet, stderr=quiet, check=True)
