"""What nodes and relays say of themselves when they are asked."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from lab.pytest_plugin import Net

PATIENCE = 20.0  # seconds for a relay to have heard what a node has just sent


def node(net: Net, host: str, command: str, *words: str) -> str:
    """The answer to `python -m node COMMAND`."""
    control = net.lab.folder / "hosts" / host / "control.sock"
    argv = [sys.executable, "-m", "node", command, "--control", str(control), *words]
    done = net.run(host, *argv)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def status(net: Net, host: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(node(net, host, "status", "--json"))
    return answer


def via(net: Net, host: str, peer: str) -> str:
    """The endpoint, or the code of the relay, by which it reaches the peer now."""
    [found] = [each["via"] for each in status(net, host)["peers"] if each["name"] == peer]
    return str(found)


def counter(net: Net, host: str, name: str) -> int:
    """0 where nothing has been counted yet."""
    count: int = status(net, host)["counters"].get(name, 0)
    return count


def netmap_of(net: Net, host: str) -> Path:
    """The file; a node is told to read it again by `node(net, host, "reload")`."""
    return net.lab.folder / "hosts" / host / "netmap.json"


def gauge(net: Net, relay: str, name: str) -> int:
    """One of a relay's numbers, as Prometheus reads it."""
    text = net.run(relay, "curl", "-sk", "https://127.0.0.1/metrics").stdout
    [line] = [line for line in text.splitlines() if line.startswith(f"derp_{name} ")]
    return int(line.split()[-1])


def wait_for_gauge(net: Net, relay: str, name: str, value: int) -> None:
    until = time.monotonic() + PATIENCE
    while (now := gauge(net, relay, name)) != value:
        assert time.monotonic() < until, f"{name} of {relay} is {now}, not {value}"
