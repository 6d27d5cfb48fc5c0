"""How soon a node is at its relay: from exec to its first DERP frame, as the relay sees it, over TLS 1.3.

Beside it, in the same rounds, what Python needs to start and do nothing: no node in Python can be
sooner than that.
"""

from __future__ import annotations

import sys

from tests.bench.figures import Table, median
from tests.bench.inside import ask

PATIENCE = 20.0  # seconds a round
STEPS = {
    "python": "a Python that does nothing, from exec to its end",
    "frame": "a node, from exec to its first DERP frame at the relay",
    "ready": "a node, from exec to `ready`",
}
GOAL = 100.0  # ms


def measure(rounds: int) -> Table:
    found = ask("startup_load", str(rounds), patience=PATIENCE * (rounds + 1))
    table = Table("Start-up, ms (medians)", ["what", "ms", "from - to", "x Python alone"])
    base = median([each["python"] for each in found])
    for step, title in STEPS.items():
        values = [each[step] for each in found]
        reach = f"{min(values):.0f} - {max(values):.0f}"
        table.add([title, f"{median(values):.0f}", reach, f"{median(values) / base:.1f}"])
    frame = median([each["frame"] for each in found])
    table.at_most(GOAL, "ms", "start-up: exec to the first DERP frame", frame)
    return table


if __name__ == "__main__":
    print(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5).markdown())
