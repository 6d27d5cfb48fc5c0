"""How fast a lab comes up and goes down, beside mininet building the same network in the same run.

The network: a core, N/5 site routers, five hosts behind each; mininet's routers only route, ours carry
NAT rules as well where it says so. Each is timed from inside its own process: what the keeper and
mininet's `build` take, without the start of either Python. Rounds alternate.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab.client import Lab
from lab.model.layout import plan_of
from lab.model.plan import Plan
from lab.model.topology import loads
from tests.bench.figures import Table, median

HOSTS_A_SITE = 5
SIZES = (10, 50, 100)
ALONE = (500, 1000)  # more than mininet builds in a minute
GONE_PATIENCE = 20.0  # seconds
CORE = "192.0.2.1"  # the internet's own address
PEER = Path(__file__).with_name("mininet_peer.py")
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's mininet belongs to it


def plan(hosts: int, nat: str) -> Plan:
    lines = [f'title = "{hosts} hosts"']
    for site in range(hosts // HOSTS_A_SITE):
        lines += [f"[router.site-{site}]", f'nat = "{nat}"']
        for n in range(HOSTS_A_SITE):
            lines += [f"[host.h{site}-{n}]", f'on = "site-{site}"']
    return plan_of(loads("\n".join(lines), "bench.toml"))


def ours(network: Plan) -> dict[str, float]:
    """Milliseconds. `whole` has the start of the keeper's Python in it."""
    before = namespaces()
    start = time.monotonic()
    lab = Lab.up(network, "bench")
    whole = time.monotonic() - start
    try:
        last = [machine.name for machine in network.machines][-1]
        assert lab.run(last, ["ping", "-c1", "-W5", CORE]).returncode == 0, f"{last} has no way out"
        [up] = [event["seconds"] for event in lab.events() if event["event"] == "up"]
    finally:
        start = time.monotonic()
        lab.down()
        down = time.monotonic() - start
    while namespaces() > before and time.monotonic() < start + GONE_PATIENCE:
        time.sleep(0.002)
    gone = time.monotonic() - start
    seconds = {"up": up, "whole": whole, "down": down, "gone": gone}
    return {key: 1000 * value for key, value in seconds.items()}


def namespaces() -> int:
    """How many network namespaces the kernel holds, the dying ones included; 0 if it does not say."""
    try:
        lines = Path("/proc/slabinfo").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("net_namespace")), 0)


def mininet(hosts: int) -> dict[str, float] | None:
    """Milliseconds; None where it is not installed. In namespaces of its own, as ours is."""
    inside = ["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc"]
    argv = [*inside, SYSTEM_PYTHON, str(PEER), str(hosts), str(HOSTS_A_SITE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure(rounds: int) -> Table:
    os.environ["PUNCHLAB_STATE"] = tempfile.mkdtemp(prefix="punchlab-bench-")
    table = Table(
        "Bring-up and teardown, milliseconds (medians)",
        ["hosts (namespaces)", "network", "up", "a namespace", "with Python", "down", "gone",
         "mininet up / down", "faster up"],
    )  # fmt: skip
    for hosts in SIZES:
        routed, natted = plan(hosts, "open"), plan(hosts, "port-restricted-cone")
        runs = [(ours(routed), ours(natted), mininet(hosts)) for _ in range(rounds)]
        peers = [run[2] for run in runs if run[2] is not None]
        add(table, hosts, "routed", routed, [run[0] for run in runs], peers)
        add(table, hosts, "NAT", natted, [run[1] for run in runs], peers)
    for hosts in ALONE:
        natted = plan(hosts, "port-restricted-cone")
        add(table, hosts, "NAT", natted, [ours(natted) for _ in range(min(rounds, 3))], [])
    return table


def add(
    table: Table,
    hosts: int,
    kind: str,
    network: Plan,
    runs: list[dict[str, float]],
    peers: list[dict[str, float]],
) -> None:
    count = len(network.machines)
    figure = {key: median([run[key] for run in runs]) for key in runs[0]}
    cells = [f"{hosts} ({count})", kind, f"{figure['up']:.0f}", f"{figure['up'] / count:.2f}"]
    cells += [f"{figure[key]:.0f}" for key in ("whole", "down", "gone")]
    if peers:
        up, down = (median([peer[key] for peer in peers]) for key in ("up", "down"))
        cells += [f"{up:.0f} / {down:.0f}", f"{up / figure['up']:.1f}x"]
    else:
        cells += ["-", "-"]
    table.add(cells)


if __name__ == "__main__":
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5).markdown())
