"""A running lab and its nodes, in a test's words."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.capture.handle import Capture
from lab.client import Lab
from lab.errors import BadRequest

PING_PATIENCE = 5  # seconds; an outage this long is a failure wherever a ping is asserted
TRIES = 5  # where a packet or two may be lost
SILENCE = 2  # seconds without a reply, where a reply could only come over what was unplugged


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

    def stream(
        self,
        other: Node,
        count: int,
        interval: float,
        payload: str = "punchlab",
        lasting: bool = False,
    ) -> Stream:
        """Pings that are on their way when this returns, or soon; `lasting`: and on until `finish`.

        A stream that is to see the end of something is a lasting one, for nobody knows how long that takes.
        """
        argv = [sys.executable, "-m", "lab.judge.pinger", other.overlay]
        argv += ["--count", str(count), "--interval", str(interval), "--payload", payload]
        argv += ["--lasting"] * lasting
        pipe = subprocess.PIPE
        stdin = pipe if lasting else None
        return Stream(
            self.lab.popen(self.name, argv, stdin=stdin, stdout=pipe, stderr=pipe, text=True)
        )

    def wait_for_path(self, other: Node, kind: str, within: float) -> None:
        self.lab.wait_for_path(self.name, other.name, kind, within)

    def path(self, other: Node) -> str:
        """The kind of path now: relay, direct, peer-relay or none."""
        return self.lab.path(self.name, other.name)

    def path_history(self, other: Node) -> list[str]:
        return self.lab.path_history(self.name, other.name)

    def path_events(self, other: Node) -> list[dict[str, Any]]:
        """Every change of the path to `other`, oldest first, each with its time."""
        return [
            event
            for event in self.lab.events()
            if (event["event"], event["host"], event.get("peer")) == ("path", self.name, other.name)
        ]


def _reach(one: Node, other: Node) -> None:
    """Not with the first packet, perhaps: what was under way by a relay is lost, and either end may notice
    a move a moment later than the other."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(NoReply):
            one.ping(other, patience=1)
            return
    one.ping(other)


@dataclass(frozen=True)
class Net:
    """A running lab, in a test's words."""

    lab: Lab

    def node(self, name: str) -> Node:
        told: dict[str, Any] = {one.host: one.settings for one in self.lab.plan().daemons}
        overlays = {host: own["overlay"] for host, own in told.items() if own.get("overlay")}
        if name not in overlays:
            known = ", ".join(overlays) or "nobody"
            raise BadRequest(f"{name} has no overlay address", f"who has one: {known}")
        return Node(self.lab, name, overlays[name][0].partition("/")[0])

    def wait_for_event(
        self, host: str, event: str, within: float = 10, since: float = 0.0, **fields: Any
    ) -> dict[str, Any]:
        """The first event of `host` with these fields, of those that were and those to come; or NoEvent.

        `since`: older ones do not count; a time as the events have it (`at`).
        """
        return self.lab.wait_for_event({"host": host, "event": event, **fields}, within, since)

    def events(self, host: str | None = None, event: str | None = None) -> list[dict[str, Any]]:
        """What has happened up to now, oldest first."""
        return [
            one
            for one in self.lab.events()
            if host in (None, one["host"]) and event in (None, one["event"])
        ]

    def prove_direct(self, a: Node, b: Node) -> None:
        """Whatever they say: with every relay unplugged they still reach each other."""
        with self.without_relays():
            for one, other in ((a, b), (b, a)):
                _reach(one, other)

    def prove_relayed(self, a: Node, b: Node) -> None:
        """Whatever they say: with every relay unplugged there is silence."""
        with self.without_relays():
            for one, other in ((a, b), (b, a)):
                with contextlib.suppress(NoReply):
                    one.ping(other, patience=SILENCE)
                    raise AssertionError(f"{one.name} reaches {other.name} without any relay")

    @contextlib.contextmanager
    def without_relays(self) -> Iterator[None]:
        relays = [each.name for each in self.lab.plan().machines if each.kind == "relay"]
        for relay in relays:
            self.unplug(relay)
        try:
            yield
        finally:
            for relay in relays:
                self.plug(relay)

    def run(self, host: str, *argv: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
        return self.lab.run(host, list(argv), timeout=timeout)

    def capture(self, out: str | Path, host: str = "", link: str = "") -> Capture:
        """All packets into a pcapng, for as long as the `with` lasts, or until its `stop`."""
        return self.lab.capture(out, host=host, link=link)

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
