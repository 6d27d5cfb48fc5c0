"""How true a bent link is: what was asked, and what pings across it saw, beside the same link unbent.

One direction is bent, so a round trip has the delay once. Which means serves is in the table: netem where the
kernel has it, else delayed NFQUEUE verdicts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lab.client import Lab
from lab.model.topology import loads
from tests.bench.figures import Table, median

TOPOLOGY = 'title = "one link"\n[host.here]\n[host.there]\n'
PINGS, EACH = 200, "0.005"  # seconds between them
MANY = 4000
PATIENCE = 60.0
DELAYS = (10, 50, 100)  # ms
LOSSES = (2, 10)  # %
TRIP = re.compile(r"= [\d.]+/([\d.]+)/([\d.]+)/([\d.]+) ms")
COUNT = re.compile(r"(\d+) received")


@dataclass(frozen=True, slots=True)
class Trip:
    """Of a round trip, in milliseconds."""

    mean: float
    most: float
    deviation: float


def measure(rounds: int) -> Table:
    table = Table(
        "Bent links: asked and measured (medians)",
        ["asked", "by", "measured", "beside"],
    )
    lab = Lab.up(loads(TOPOLOGY, "links.toml"), "links", tied=True)
    try:
        for delay in DELAYS:
            error, cells = delayed(lab, delay, rounds)
            table.add(cells)
            table.at_most(0.6, "ms", f"a delay of {delay} ms, off by", abs(error))
        table.add(jittered(lab, rounds))
        for loss in LOSSES:
            table.add(lossy(lab, loss, rounds))
    finally:
        lab.down()
    return table


def delayed(lab: Lab, delay: int, rounds: int) -> tuple[float, list[str]]:
    pairs = []
    for _ in range(rounds):
        lab.link("here", clean=True)
        plain = trip(lab)
        by = bend(lab, delay=f"{delay}ms")
        pairs.append((plain, trip(lab)))
    mean = median([bent.mean - plain.mean for plain, bent in pairs])
    most = median([bent.most - plain.mean for plain, bent in pairs])
    seen = f"{mean:.2f} ms ({mean - delay:+.2f}), at most {most:.2f}"
    return mean - delay, [f"delay {delay} ms", by, seen, spread(pairs)]


def jittered(lab: Lab, rounds: int) -> list[str]:
    pairs = []
    for _ in range(rounds):
        lab.link("here", clean=True)
        plain = trip(lab)
        by = bend(lab, delay="50ms", jitter="10ms")
        pairs.append((plain, trip(lab)))
    mean = median([bent.mean - plain.mean for plain, bent in pairs])
    return ["delay 50 ms, jitter 10 ms", by, f"{mean:.2f} ms", spread(pairs)]


def lossy(lab: Lab, loss: int, rounds: int) -> list[str]:
    lab.link("here", clean=True)
    by = bend(lab, loss=f"{loss}%")
    shares = []
    for _ in range(rounds):
        came = ping(lab, "-f", "-c", str(MANY), "-W1")
        received = COUNT.search(came)
        assert received is not None, came
        shares.append(100 * (1 - int(received[1]) / MANY))
    return [f"loss {loss} %", by, f"{median(shares):.2f} %", f"of {MANY} pings"]


def spread(pairs: list[tuple[Trip, Trip]]) -> str:
    plain, bent = (median([pair[n].deviation for pair in pairs]) for n in (0, 1))
    return f"deviation {bent:.2f} ms, unbent {plain:.2f}"


def bend(lab: Lab, **values: Any) -> str:
    """Returns what serves."""
    lab.link("here", way="up", clean=True, **values)
    [link] = [each for each in lab.links() if each["link"] == "here"]
    return ", ".join(each.partition(": ")[2] for each in link["by"])


def trip(lab: Lab) -> Trip:
    said = ping(lab, "-c", str(PINGS), "-i", EACH)
    found = TRIP.search(said)
    assert found is not None, said
    return Trip(*map(float, found.groups()))


def ping(lab: Lab, *words: str) -> str:
    return lab.run("here", ["ping", "-q", *words, "there"], timeout=PATIENCE).stdout
