"""How fast a lab comes up and goes down, beside mininet building the same network in the same rounds.

The network: a core, N/5 site routers, five hosts behind each; mininet's routers only route, ours carry
NAT rules as well where it says so. Each is timed from inside its own process: what the keeper and
mininet's `build` take, without the start of either Python, which has a line of its own. Rounds alternate.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import TypeAlias

from lab.client import Lab
from lab.model.layout import plan_of
from lab.model.plan import Plan
from lab.model.topology import loads
from tests.bench.figures import Table, median
from tests.bench.witness import Witness

HOSTS_A_SITE = 5
SIZES = (10, 50, 100)
ALONE = (500, 1000)  # more than mininet builds in a minute
CORE = "192.0.2.1"  # the internet's own address
PEER = Path(__file__).with_name("mininet_peer.py")
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's mininet belongs to it
PING = ["ping", "-c1", "-W5", CORE]
BRIDGES = (
    "What is gone last are the bridges: a dying bridge waits for one RCU grace period (rcu_barrier in "
    "br_multicast_dev_del, sampled from the stack of cleanup_net), N/5 of them in a row. Twenty namespaces "
    "with a bridge each were gone after 0.4 s, without after 0.05 s; snooping off changes nothing, "
    "and deleting them first, one by one or as a group, takes 0.8 s."
)
NO_PEER = "No mininet to compare with: apt-get install mininet, and be root."

Run: TypeAlias = dict[str, float]  # milliseconds, and megabytes


def plan(hosts: int, nat: str) -> Plan:
    lines = [f'title = "{hosts} hosts"']
    for site in range(hosts // HOSTS_A_SITE):
        lines += [f"[router.site-{site}]", f'nat = "{nat}"']
        for n in range(HOSTS_A_SITE):
            lines += [f"[host.h{site}-{n}]", f'on = "site-{site}"']
    return plan_of(loads("\n".join(lines), "bench.toml"))


def ours(network: Plan) -> Run:
    """`whole` has the start of the keeper's Python in it."""
    before, start = available(), time.monotonic()
    lab = Lab.up(network, "bench")
    whole, taken = time.monotonic() - start, before - available()
    try:
        last = [machine.name for machine in network.machines][-1]
        assert lab.run(last, PING).returncode == 0, f"{last} has no way out"
        [up] = [event["seconds"] for event in lab.events() if event["event"] == "up"]
        witness = Witness(lab)
    finally:
        start = time.monotonic()
        lab.down()
        down = time.monotonic() - start
    seconds = {"up": up, "whole": whole, "down": down, "gone": witness.gone_at() - start}
    return {key: 1000 * value for key, value in seconds.items()} | {"memory": taken}


def available() -> float:
    """Megabytes that this machine could still give."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("MemAvailable"))


def mininet(hosts: int) -> list[Run]:
    """One, or none where it does not run. In namespaces of its own, as ours is."""
    inside = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc"]
    argv = [*inside, SYSTEM_PYTHON, str(PEER), str(hosts), str(HOSTS_A_SITE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        return []
    return [json.loads(done.stdout.splitlines()[-1])]


# Each row: its title, the key of a run's figure, how it is written.
ROWS = (
    ("routed: up, ms", "routed", ".0f"),
    ("NAT rules in N/5 routers: up, ms", "up", ".0f"),
    ("the same as its caller waits for it, ms", "whole", ".0f"),
    ("a namespace, ms", "each", ".2f"),
    ("down returns after, ms", "down", ".0f"),
    ("all is gone after, ms", "gone", ".0f"),
    ("memory, MB (the most)", "memory", ".0f"),
    ("share of Python's start in the whole", "python", ".0%"),
    ("mininet without NAT: up, ms", "mininet_up", ".0f"),
    ("mininet without NAT: down, ms", "mininet_down", ".0f"),
    ("ours with NAT up, beside mininet", "faster", ".1fx"),
)


def measure(rounds: int) -> Table:
    found = {hosts: medians(hosts, rounds) for hosts in (*SIZES, *ALONE)}
    heads = [f"N={hosts} ({run['namespaces']:.0f})" for hosts, run in found.items()]
    table = Table("N hosts (namespaces) up and down: medians", ["", *heads])
    for title, key, form in ROWS:
        table.add([title, *(written(run.get(key), form) for run in found.values())])
    hundred, thousand = found[100], found[1000]
    if "faster" in hundred:
        table.at_least(10, "x", "bring-up of 100 hosts beside mininet", hundred["faster"])
    else:
        table.notes.append(NO_PEER)
    table.at_most(2.0, "ms", "bring-up of 100 hosts, a namespace", hundred["each"])
    table.at_most(50, "ms", "100 hosts: down returns", hundred["down"])
    table.at_most(200, "ms", "100 hosts: all is gone", hundred["gone"])
    table.at_most(3000, "ms", "bring-up of 1000 hosts", thousand["up"])
    table.at_most(3000, "ms", "bring-up of 1000 hosts, for its caller", thousand["whole"])
    table.at_most(500, "MB", "memory of 1000 hosts", thousand["memory"])
    table.notes.append(BRIDGES)
    return table


def medians(hosts: int, rounds: int) -> Run:
    """Of one size; mininet's too where that takes less than a minute."""
    routed, natted = plan(hosts, "open"), plan(hosts, "port-restricted-cone")
    runs, peers = list[Run](), list[Run]()
    for _ in range(min(rounds, 3) if hosts in ALONE else rounds):
        runs.append(ours(natted))
        if hosts not in ALONE:
            runs[-1]["routed"] = ours(routed)["up"]
            peers += mininet(hosts)
    found = middle(runs)
    found["memory"] = max(
        run["memory"] for run in runs
    )  # what the kernel keeps, the next one finds there
    found["namespaces"] = len(natted.machines)
    found["each"] = found["up"] / len(natted.machines)
    found["python"] = 1 - found["up"] / found["whole"]
    if peers:
        peer = middle(peers)
        found |= {f"mininet_{key}": peer[key] for key in ("up", "down")}
        found["faster"] = peer["up"] / found["up"]
    return found


def middle(runs: list[Run]) -> Run:
    return {key: median([run[key] for run in runs]) for key in runs[0]}


def written(value: float | None, form: str) -> str:
    if value is None:
        return "-"
    return f"{value:{form.removesuffix('x')}}" + "x" * form.endswith("x")
