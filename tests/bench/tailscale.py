"""How soon two of ours, and two Tailscale clients, have their paths: in the same networks and rounds.

Both pairs have our relays, and the same pings. The clients' control plane is a handful of lines of ours,
without any delay; a real one adds its own.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from lab.client import Lab
from lab.errors import CannotHere
from lab.model.layout import FIRST_REGION
from lab.model.topology import Topology, folder, loads
from tests.bench.figures import Table, median
from tests.bench.upgrade import (
    DELAY,
    OUTAGE,
    PATIENCE,
    WORDS,
    at,
    finished,
    other_region,
    silence,
    stream,
    upgraded,
    wait_until,
)
from tests.interop.tailnet.client import Client, client, missing, plane

ENDS = {"node-a": "100.64.1.10", "node-b": "100.64.2.20"}
HOMES = {"node-a": FIRST_REGION, "node-b": FIRST_REGION + 1}  # nyc and fra, as in two-regions
LIMITS = [
    "- Tailscale's clients know each other's endpoints from the start. The called one is direct about as",
    "  soon as ours; the caller often after 5 s: its first ping was lost at the other's NAT, the other",
    "  sends no call-me-maybe back, and an endpoint is not pinged again for 5 s. Meanwhile its packets go by",
    "  the relay.",
    "- A dead path they trust for up to 6.5 s, so as to ping seldom; ours pings more while data flows.",
    "- They keep a home from which something came in the last 8 s, so as not to move to and fro.",
    "- Their paths are asked for each 50 ms. One version of the client, our relays, no other load.",
]
ROWS = {
    "first": WORDS["first"],
    "direct": WORDS["direct"],
    "both": "direct both ways after the first packet, ms",
    "lost": WORDS["lost"],
    "back": WORDS["back"],
    "again": WORDS["again"],
    "region": WORDS["region"],
}


def measure(rounds: int) -> Table:
    if missing:
        print(f"{' and '.join(missing)} not installed: https://tailscale.com/download")
        sys.exit(CannotHere.exit_status)
    ours, theirs = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    for _ in range(rounds):
        for found, figures in (
            (ours, {**upgraded(), **other_region()}),
            (theirs, {**their_upgrade(), **their_other_region()}),
        ):
            for name, value in figures.items():
                found[name].append(value)
    table = Table("Paths, beside Tailscale's clients (medians)", ["what", "ours", "Tailscale"])
    for name, title in ROWS.items():
        table.add([title, *(reach(found[name]) for found in (ours, theirs))])
    table.notes += LIMITS
    return table


def reach(values: Sequence[float]) -> str:
    return f"{median(values):.1f} ({min(values):.1f} - {max(values):.1f})"


def their_upgrade() -> dict[str, float]:
    with (
        tailnet("nat-pair") as (lab, (a, b)),
        Watch(lab, a) as one,
        Watch(lab, b) as other,
    ):
        pings = stream(lab, "node-a", ENDS["node-b"], seconds=45)
        first = one.until(True), other.until(True)
        wait_until(time.monotonic() + 2)
        lab.cut("node-a", "node-b")
        for each in (one, other):  # either may trust the dead path longer
            each.until(False)
        wait_until(max(at(lab.events(), "cut") + OUTAGE, time.monotonic() + 1))
        lab.restore("node-a", "node-b")
        again = min(one.until(True), other.until(True))
        events, echoes = list(lab.events()), finished(pings, 2 * PATIENCE)
    cut, mended = at(events, "cut"), at(events, "restore")
    early = [echo for echo in echoes if echo.sent < cut - 0.1]
    began = early[0].sent
    return {
        "first": 1000 * (early[0].received[0] - began),
        "direct": 1000 * (min(first) - began),
        "both": 1000 * (max(first) - began),
        "lost": float(sum(not echo.received for echo in early)),
        "back": 1000 * silence([e for e in echoes if cut - 0.5 < e.sent < mended]),
        "again": 1000 * (again - mended),
    }


def their_other_region() -> dict[str, float]:
    with tailnet("two-regions") as (lab, ends):
        homes = [json.loads(each.command("status", "--json"))["Self"]["Relay"] for each in ends]
        assert homes == ["nyc", "fra"]
        pings = stream(lab, "node-a", ENDS["node-b"], seconds=60)
        wait_until(time.monotonic() + 3)
        lab.daemon("fra", "kill")
        echoes = finished(pings, 2 * PATIENCE)
    return {"region": 1000 * silence(echoes[1:])}


@contextmanager
def tailnet(topology: str) -> Iterator[tuple[Lab, tuple[Client, Client]]]:
    lab = Lab.up(without_nodes(topology), "tailnet", tied=True)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="punchlab-tailnet-") as name,
            plane(lab, Path(name), list(ENDS.values()), homes=_homes(lab)) as control,
            client(lab, "node-a", Path(name), control) as a,
            client(lab, "node-b", Path(name), control) as b,
        ):
            for host in ENDS:
                control.member(host)
            yield lab, (a, b)
    finally:
        lab.down()


def _homes(lab: Lab) -> dict[str, int]:
    """Each end its own, where there are two."""
    relays = [each for each in lab.plan().machines if each.kind == "relay"]
    return {ENDS[end]: HOMES[end] for end in ENDS} if len(relays) > 1 else {}


def without_nodes(topology: str) -> Topology:
    """The same network, with nothing on its hosts, and one more for the control plane."""
    text = (folder() / f"{topology}.toml").read_text()
    plain = re.sub(r"(?m)^(runs|overlay|home) = .*\n", "", text) + "\n[host.control]\n"
    return loads(plain, topology, {f"link.home-{end}.delay": DELAY for end in "ab"})


class Watch:
    """Whether a client has a direct path to the other, by what it says itself."""

    def __init__(self, lab: Lab, of: Client) -> None:
        argv = [sys.executable, "-m", "tests.bench.tailscale_paths", str(of.socket)]
        self._process = lab.popen(of.host, argv, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            self._process.kill()

    def until(self, is_direct: bool) -> float:
        """When that is so next."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told: dict[str, Any] = json.loads(line)
            if told["direct"] == is_direct:
                return float(told["at"])
        raise AssertionError("it did not become so")
