"""How soon traffic flows, how soon it flows directly, and what is lost when the way changes.

Two homes behind NATs, 40 ms apart, with a ping every 10 ms between them: the first packet goes
by the relay, the path becomes direct, is cut without a word, and is mended. Then two homes with
nothing but relays between them, of which the one in use is killed. Round trips are those measured there
in the same round, so a slow machine does not count twice.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lab.client import Lab
from lab.model.topology import Topology, load
from tests.bench.figures import Table, median

BEAT = 0.01  # seconds between two pings: 100 a second
DELAY = "10ms"  # each way, of each home's uplink: 40 ms from home to home and back
OUTAGE = 3.0  # seconds
PATIENCE = 30.0
WAN_A, WAN_B = "203.0.113.10", "203.0.113.20"
WORDS = {
    "first": "first packet answered by the relay, ms",
    "relay_rtts": "the same, in round trips of the relay",
    "direct": "direct path proven after the first packet, ms",
    "allowed": "two round trips by the relay and two direct ones and 50 ms",
    "lost": "pings lost while the path became direct",
    "twice": "pings answered twice meanwhile",
    "back": "silence when the direct path died without a word, ms",
    "again": "direct again after it was mended, ms",
    "region": "silence when the relay in use was killed, another one there, ms",
}


@dataclass(frozen=True, slots=True)
class Echo:
    """A ping of a stream: when it left, and when each answer came (seconds)."""

    seq: int
    sent: float
    received: list[float]


def measure(rounds: int) -> Table:
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, value in {**upgraded(), **other_region()}.items():
            found[name].append(value)
    table = Table("Relay to direct and back (medians)", ["what", "figure", "from - to"])
    for name, title in WORDS.items():
        reach = f"{min(found[name]):.1f} - {max(found[name]):.1f}"
        table.add([title, f"{median(found[name]):.1f}", reach])
    _goals(table, {name: median(values) for name, values in found.items()}, found)
    return table


def _goals(table: Table, middle: dict[str, float], found: dict[str, list[float]]) -> None:
    table.at_most(3, "x", "first packet answered: round trips of the relay", middle["relay_rtts"])
    table.at_most(round(middle["allowed"]), "ms", "direct path proven", middle["direct"])
    table.at_most(0, "", "pings lost on relay to direct, all rounds", sum(found["lost"]))
    table.at_most(0, "", "pings doubled on relay to direct, all rounds", sum(found["twice"]))
    table.at_most(1000, "ms", "a direct path that dies: silence", middle["back"])
    table.at_most(3000, "ms", "direct again after the repair", middle["again"])
    table.at_most(2000, "ms", "relay killed: silence until the other region's", middle["region"])


def upgraded() -> dict[str, float]:
    lab = Lab.up(homes("nat-pair"), "upgrade", tied=True)
    try:
        by_relay = round_trip(lab, "node-a", "nyc") + round_trip(lab, "node-b", "nyc")
        directly = round_trip(lab, "node-a", WAN_B)
        pings = stream(lab, "node-a", "100.64.2.20", seconds=12)
        lab.wait_for_path("node-a", "node-b", "direct", PATIENCE)
        lab.wait_for_path("node-b", "node-a", "direct", PATIENCE)
        settled = max(event["at"] for event in paths(lab))
        wait_until(settled + 1)
        lab.cut("node-a", "node-b")
        lab.wait_for_path("node-a", "node-b", "relay", PATIENCE)
        wait_until(at(lab.events(), "cut") + OUTAGE)
        lab.restore("node-a", "node-b")
        lab.wait_for_path("node-a", "node-b", "direct", PATIENCE)
        events, echoes = list(lab.events()), finished(pings)
    finally:
        lab.down()
    cut, mended = at(events, "cut"), at(events, "restore")
    direct = [e["at"] for e in events if e["event"] == "path" and e["kind"] == "direct"]
    early = [echo for echo in echoes if echo.sent < cut - 0.1]
    first = early[0].received[0] - early[0].sent
    return {
        "first": 1000 * first,
        "relay_rtts": first / by_relay,
        "direct": 1000 * (direct[0] - early[0].sent),
        "both": 1000 * (settled - early[0].sent),
        "allowed": 1000 * (2 * by_relay + 2 * directly) + 50,
        "lost": float(sum(not echo.received for echo in early)),
        "twice": float(sum(len(echo.received) > 1 for echo in early)),
        "back": 1000 * silence([e for e in echoes if cut - 0.5 < e.sent < mended]),
        "again": 1000 * (next(when for when in direct if when > mended) - mended),
    }


def other_region() -> dict[str, float]:
    lab = Lab.up(homes("two-regions"), "regions", tied=True)
    try:
        pings = stream(lab, "node-a", "100.64.2.20", seconds=6)
        lab.wait_for_path("node-a", "node-b", "relay", PATIENCE)
        wait_until(max(event["at"] for event in paths(lab)) + 1)
        lab.daemon("fra", "kill")
        echoes = finished(pings)
    finally:
        lab.down()
    return {"region": 1000 * silence(echoes[1:])}


def homes(name: str) -> Topology:
    return load(name, {f"link.home-{end}.delay": DELAY for end in "ab"})


def round_trip(lab: Lab, host: str, to: str) -> float:
    """Seconds, the median of five."""
    done = lab.run(host, ["ping", "-n", "-c5", "-i0.1", to], timeout=PATIENCE)
    times = [
        line.split("time=")[1].split()[0] for line in done.stdout.splitlines() if "time=" in line
    ]
    return median([float(each) for each in times]) / 1000


def stream(lab: Lab, host: str, to: str, seconds: float) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "lab.judge.pinger", to]
    argv += ["--count", str(round(seconds / BEAT)), "--interval", str(BEAT)]
    return lab.popen(host, argv, stdout=subprocess.PIPE, text=True)


def finished(pings: subprocess.Popen[str], within: float = PATIENCE) -> list[Echo]:
    out, _ = pings.communicate(timeout=within)
    return [Echo(**json.loads(line)) for line in out.splitlines()]


def wait_until(when: float) -> None:
    time.sleep(max(0.0, when - time.monotonic()))


def silence(echoes: list[Echo]) -> float:
    """Seconds between two pings that were answered, at the longest."""
    answered = [echo.sent for echo in echoes if echo.received]
    ends = [echoes[0].sent, *answered, echoes[-1].sent]
    return max(later - earlier for earlier, later in pairwise(ends))


def paths(lab: Lab) -> list[dict[str, Any]]:
    return [event for event in lab.events() if event["event"] == "path"]


def at(events: Iterable[dict[str, Any]], name: str) -> float:
    """When it happened, last."""
    return float([event["at"] for event in events if event["event"] == name][-1])
