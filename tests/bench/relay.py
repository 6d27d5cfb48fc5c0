"""The relay alone, over loopback in a namespace of its own: how much it carries, how soon, how cheaply.

Clients and relay share the machine, so a figure holds for this machine and this moment only; pairs of
rounds alternate between the questions. Another relay, by address, answers the same questions where
`PUNCHLAB_BENCH_DERPER=HOST:PORT` names one (over TLS, in the caller's own network).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict

from tests.bench.figures import Table, median

SECONDS = 2.0  # of each stream
ECHOES = 2000
CLIENTS = (1000, 5000)
PATIENCE = 120.0  # seconds for the answer to one question
TRANSPORTS = ("plain", "tls")
GBIT = {"plain": 5.0, "tls": 1.8}  # goals, with 45 frames a write
STREAMS = {
    "1 pair, 45 frames a write": "1:45",
    "50 pairs, 45 frames a write": "50:45",
    "1 pair, 1 frame a write": "1:1",
}

Figures = dict[str, float]


def ask(*question: str) -> Figures:
    peer = os.environ.get("PUNCHLAB_BENCH_DERPER")
    argv = [sys.executable, "-m", "tests.bench.relay_load", *question]
    if peer is None:
        alone = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        alone += [] if os.geteuid() == 0 else ["--map-root-user"]
        argv = [*alone, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *argv]
    else:
        argv += ["--peer", peer]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=True)
    found: Figures = json.loads(done.stdout)
    return found


def measure(rounds: int) -> Table:
    transports = TRANSPORTS if "PUNCHLAB_BENCH_DERPER" not in os.environ else ("tls",)
    streams: dict[tuple[str, str], list[Figures]] = defaultdict(list)
    echoes: dict[str, list[Figures]] = defaultdict(list)
    for _ in range(rounds):
        for transport in transports:
            for title, shape in STREAMS.items():
                streams[title, transport].append(ask("stream", transport, shape, str(SECONDS)))
            echoes[transport].append(ask("latency", transport, str(ECHOES)))
    table = Table("The relay alone (medians)", ["what", *(t.upper() for t in transports)])
    for title in STREAMS:
        table.add([f"{title}, Gb/s (CPU s/GB)", *(rate(streams[title, t]) for t in transports)])
    one, fifty = list(STREAMS)[:2]
    ratios = {t: gbit(streams[fifty, t]) / gbit(streams[one, t]) for t in transports}
    table.add(["50 pairs / 1 pair", *(f"{ratio:.2f}" for ratio in ratios.values())])
    table.add(["one way, idle, p50 / p99, us", *(times(echoes[t], "") for t in transports)])
    table.add(
        ["by a process that only hands on, us", *(times(echoes[t], "bare_") for t in transports)]
    )
    table.add(["the same without a relay, us", *(times(echoes[t], "plain_") for t in transports)])
    for t in transports:
        name = t.upper()
        table.at_least(GBIT[t], "Gb/s", f"relay, {one}, {name}", gbit(streams[one, t]))
        table.at_least(0.5, "x", f"relay, 50 pairs of 1 pair, {name}", ratios[t])
        added = median([run["p99"] - run["plain_p99"] for run in echoes[t]])
        table.at_most(300, "us", f"relay, p99 of the time it adds, idle, {name}", added)
    if "PUNCHLAB_BENCH_DERPER" not in os.environ:
        for clients in CLIENTS:
            add_idle(table, clients, [idle_client(t, clients) for t in transports])
    return table


def add_idle(table: Table, clients: int, found: list[float | None]) -> None:
    cells = ("no answer in time" if kib is None else f"{kib:.1f}" for kib in found)
    table.add([f"KiB an idle client, {clients}", *cells])
    if found[-1] is not None:
        table.at_most(20, "KiB", f"relay, an idle TLS client of {clients}", found[-1])


def idle_client(transport: str, clients: int) -> float | None:
    try:
        return ask("memory", transport, str(clients))["kib"]
    except subprocess.TimeoutExpired:  # thousands of handshakes on a machine that has other work
        return None


def gbit(runs: list[Figures]) -> float:
    return median([run["gbit"] for run in runs])


def rate(runs: list[Figures]) -> str:
    return f"{gbit(runs):.2f} ({median([run['cpu_per_gb'] for run in runs]):.1f})"


def times(runs: list[Figures], prefix: str) -> str:
    return " / ".join(f"{median([run[prefix + p] for run in runs]):.0f}" for p in ("p50", "p99"))


if __name__ == "__main__":
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5).markdown())
