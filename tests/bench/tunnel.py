"""The tunnel between two nodes: how much it carries, for how much CPU, beside wireguard-go.

Two namespaces joined by a veth, and a relay beside them; both nodes, and both ends of the load, share the
machine. So a figure holds for this machine and this moment only, and the ratio is the result: every way
takes its turn in every round. CUBIC throughout, because BBR hides what a tunnel drops. The nodes have
all their features on: handshakes, replay window, allowed IPs, disco, a relay in reserve. Debian's
wireguard-go is from before segmentation offload; `PUNCHLAB_BENCH_WIREGUARD_GO=PATH` adds another one.
"""

from __future__ import annotations

import subprocess
from collections import defaultdict

from tests.bench.figures import Table, median
from tests.bench.inside import ask

PATIENCE = 60.0  # seconds a round for one way with one load; then it is not counted
BASE = "wireguard-go"
TITLES = {
    "tcp": "TCP, one stream",
    "tcp4": "TCP, four streams",
    "both": "TCP, both ways at once",
    "tcp6": "TCP over IPv6",
    "udp": "UDP, 1360 bytes",
    "ping": "idle ping, ms",
    "relayed": "TCP by the relay",
}
GOALS = {
    "tcp": {"numpy": 4.0, "c": 6.5},
    "both": {"numpy": 3.5, "c": 5.0},
    "udp": {"numpy": 1.5, "c": 1.5},
    "ping": {"numpy": 1.3, "c": 1.3},
}
RESIDENT = 60.0  # MB

Runs = dict[tuple[str, str], list[dict[str, float]]]  # (load, way): what each round measured


def measure(rounds: int) -> Table:
    runs: Runs = defaultdict(list)
    memory: dict[str, float] = {}
    patience = PATIENCE * len(TITLES) * (rounds + 1)
    for line in ask("tunnel_load", "--rounds", str(rounds), patience=patience):
        if "rss" in line:
            memory = line["rss"]
        else:
            runs[line["load"], line["way"]].append(line)
    return _table(runs, memory)


def _table(runs: Runs, memory: dict[str, float]) -> Table:
    columns = ["load", "way", "Gb/s", "from - to", "CPU s/GB", f"x {BASE}"]
    table = Table("The tunnel (medians)", columns)
    for load, title in TITLES.items():
        base = [each["value"] for each in runs.get((load, BASE), ())]
        for way in dict.fromkeys(way for _, way in runs):
            found = runs.get((load, way))
            if found:
                table.add(_row(title, way, found, base))
    _goals(table, runs, memory)
    for way, megabytes in memory.items():
        table.notes.append(f"- {way}: {megabytes:.0f} MB resident at the end")
    table.notes.append(f"- {BASE} is {_version()}; s/GB are CPU seconds of both daemons together")
    return table


def _goals(table: Table, runs: Runs, memory: dict[str, float]) -> None:
    for load, bounds in GOALS.items():
        for way, bound in bounds.items():
            if (load, way) in runs and (load, BASE) in runs:
                ours, theirs = (
                    median([each["value"] for each in runs[load, who]]) for who in (way, BASE)
                )
                goal = table.at_most if load == "ping" else table.at_least
                goal(bound, "x", f"{TITLES[load]}, {way}: of {BASE}", ours / theirs)
    for way, megabytes in memory.items():
        if not way.startswith(BASE):
            table.at_most(RESIDENT, "MB", f"resident memory of a node, {way}", megabytes)


def _row(title: str, way: str, found: list[dict[str, float]], base: list[float]) -> list[str]:
    values = [each["value"] for each in found]
    middle = median(values)
    cpu = [each["cpu"] for each in found if "cpu" in each]
    ratio = f"{middle / median(base):.2f}" if base else "-"
    reach = f"{min(values):.2f} - {max(values):.2f}"
    return [title, way, f"{middle:.2f}", reach, f"{median(cpu):.1f}" if cpu else "-", ratio]


def _version() -> str:
    argv = ["dpkg-query", "-W", "-f", "${Version}", "wireguard-go"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "of unknown version"
    return f"Debian's {done.stdout}" if done.returncode == 0 else "of unknown version"
