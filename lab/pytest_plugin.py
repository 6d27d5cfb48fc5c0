"""Labs in tests: start one, change it, ask it, and on failure see what it saw.

    def test_two_homes_move_from_relay_to_direct(lab: StartLab) -> None:
        net = lab("nat-pair")
        a, b = net.node("node-a"), net.node("node-b")
        a.ping(b)
        a.wait_for_path(b, "direct", within=10)

The fixture builds, takes down, and when the test fails prints the drawing, each router's rules, the
events and the last lines of every daemon's log.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from lab.client import Lab
from lab.model.topology import load

PING_PATIENCE = 5  # seconds; an outage this long is a failure wherever a ping is asserted
LOG_TAIL = 30  # lines of each daemon's log in a failure's report


class NoReply(AssertionError):
    """A ping through the tunnel was not answered."""


@dataclass(frozen=True)
class Echoes:
    """What a stream of pings saw: for each echo when it left and each reply's time (seconds)."""

    sent: list[float]
    received: list[list[float]]

    @property
    def lost(self) -> int:
        return sum(not times for times in self.received)

    @property
    def duplicated(self) -> int:
        return sum(len(times) > 1 for times in self.received)


@dataclass(frozen=True)
class Stream:
    """A stream of pings that is under way."""

    process: subprocess.Popen[str]

    def finish(self) -> Echoes:
        out, err = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, err
        echoes = [json.loads(line) for line in out.splitlines()]
        return Echoes([e["sent"] for e in echoes], [e["received"] for e in echoes])


@dataclass(frozen=True)
class Node:
    """A host of a running lab that runs a node."""

    lab: Lab
    name: str
    overlay: str

    def ping(self, other: Node, patience: float = PING_PATIENCE) -> None:
        """One echo through the tunnel, or NoReply."""
        argv = ["ping", "-n", "-c1", f"-W{patience:g}", other.overlay]
        done = self.lab.run(self.name, argv, timeout=patience + 10)
        if done.returncode:
            raise NoReply(f"{self.name} got no reply from {other.name} ({other.overlay})")

    def stream(self, other: Node, count: int, interval: float, payload: str = "punchlab") -> Stream:
        argv = [sys.executable, "-m", "lab.judge.pinger", other.overlay]
        argv += ["--count", str(count), "--interval", str(interval), "--payload", payload]
        return Stream(
            self.lab.popen(
                self.name, argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )

    def wait_for_path(self, other: Node, kind: str, within: float) -> None:
        self.lab.wait_for_path(self.name, other.name, kind, within)

    def path_history(self, other: Node) -> list[str]:
        return self.lab.path_history(self.name, other.name)

    def path_events(self, other: Node) -> list[dict[str, Any]]:
        """Every change of the path to `other`, oldest first, each with its time."""
        return [
            event
            for event in self.lab.events()
            if (event["event"], event["host"], event.get("peer")) == ("path", self.name, other.name)
        ]


@dataclass(frozen=True)
class Net:
    """A running lab, in a test's words."""

    lab: Lab

    def node(self, name: str) -> Node:
        plan = self.lab.plan()
        [daemon] = [one for one in plan.daemons if one.host == name]
        overlay: Any = daemon.settings["overlay"]
        return Node(self.lab, name, overlay[0].partition("/")[0])

    def run(self, host: str, *argv: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        return self.lab.run(host, list(argv), timeout=timeout)

    def unplug(self, host: str) -> None:
        self.lab.unplug(host)

    def plug(self, host: str) -> None:
        self.lab.plug(host)

    def cut(self, a: str, b: str, one_way: bool = False, reset: bool = False) -> None:
        self.lab.cut(a, b, one_way=one_way, reset=reset)

    def restore(self, a: str, b: str) -> int:
        """Takes a cut away; returns how many packets met it."""
        dropped: int = self.lab.restore(a, b)["dropped"]
        return dropped

    def set_nat(self, router: str, profile: str) -> None:
        self.lab.nat(router, profile)

    def set_wan(self, router: str, *addresses: str) -> None:
        self.lab.nat(router, wan=addresses)

    def flush_nat(self, router: str) -> int:
        """As if the router were rebooted; returns how many flows it has forgotten."""
        forgotten: int = self.lab.nat(router, flush=True)["forgotten"]
        return forgotten

    def move(self, host: str, router: str) -> None:
        self.lab.move(host, router)

    def daemon(self, host: str, action: str) -> None:
        """stop, start, restart, kill, freeze or thaw."""
        self.lab.daemon(host, action)


class StartLab:
    """`lab("nat-pair", nat={"home-a": "symmetric"})`: up, named for this test, down at its end."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.labs: list[Lab] = []

    def __call__(
        self,
        topology: str,
        nat: Mapping[str, str] | None = None,
        set: Mapping[str, Any] | None = None,
    ) -> Net:
        overrides = {key: toml(value) for key, value in (set or {}).items()}
        overrides |= {f"router.{router}.nat": profile for router, profile in (nat or {}).items()}
        name = f"{self.prefix}-{len(self.labs)}"
        lab = Lab.up(load(topology, overrides), name)
        self.labs.append(lab)
        return Net(lab)


def toml(value: Any) -> str:
    """An override's text: JSON's strings, numbers and lists are TOML's too."""
    return value if isinstance(value, str) else json.dumps(value)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    starter = getattr(item, "funcargs", {}).get("lab")
    if report.when == "call" and report.failed and isinstance(starter, StartLab):
        for lab in starter.labs:
            report.sections += list(evidence(lab))
    return report


def evidence(lab: Lab) -> Iterator[tuple[str, str]]:
    """What is left of a lab whose test failed, while it still runs."""
    plan = lab.plan()
    yield f"{lab.name}: drawing", plan.drawing
    for machine in plan.machines:
        for rules in machine.rules:
            yield f"{lab.name}: rules of {machine.name}", rules.text
    yield f"{lab.name}: events", "\n".join(map(json.dumps, lab.events()))
    logs: dict[str, list[str]] = {}
    for host, line in lab.logs():
        logs.setdefault(host, []).append(line)
    for host, lines in logs.items():
        yield f"{lab.name}: log of {host}", "\n".join(lines[-LOG_TAIL:])


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Iterator[Callable[..., Net]]:
    """Starts labs for one test, side by side with those of other test processes."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    starter = StartLab(f"test-{worker}-{os.getpid()}")
    yield starter
    for one in starter.labs:
        one.down()
