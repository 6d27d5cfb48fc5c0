"""Whole days of two nodes and random faults, in memory: `python -m tests.bench.simulate --seeds 1000`.

Each seed is another day. Afterwards both nodes have to reach each other, and nothing may have spun or
grown. A seed that fails is printed with the command that replays it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench.figures import Table, median
from tests.node.simulation import Simulation

DAY = 24.0  # hours


@dataclass(frozen=True, slots=True)
class Result:
    seed: int
    seconds: float  # of processor time
    sent: int
    ticks: int
    problem: str | None


def live(task: tuple[int, float]) -> Result:
    seed, hours = task
    began = time.process_time()
    simulation, problem = Simulation(seed), None
    try:
        simulation.run(60 * hours, lulls=True)
        simulation.check()
    except Exception as error:  # whatever it is, the other seeds are to be run
        problem = f"{type(error).__name__}: {error}"
    ticks = simulation.a.ticks + simulation.b.ticks
    return Result(seed, time.process_time() - began, simulation.sent, ticks, problem)


def results(seeds: Sequence[int], hours: float, workers: int) -> Iterator[Result]:
    tasks = [(seed, hours) for seed in seeds]
    if workers == 1:
        yield from map(live, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        yield from pool.imap_unordered(live, tasks)


def table_of(found: Sequence[Result], hours: float) -> Table:
    table = Table(
        f"{hours:g} simulated hours of two nodes with random faults",
        ("seeds", "failed", "median CPU s", "longest CPU s", "packets", "ticks a node and second"),
    )
    seconds = [each.seconds for each in found]
    ticks = sum(each.ticks for each in found) / (2 * 3600 * hours * len(found))
    failed = [each.seed for each in found if each.problem]
    table.add(
        (
            str(len(found)),
            str(len(failed)),
            f"{median(seconds):.1f}",
            f"{max(seconds):.1f}",
            str(sum(each.sent for each in found)),
            f"{ticks:.2f}",
        )
    )
    if hours == DAY:
        table.at_most(60, "s", "24 simulated hours of two nodes, the longest", max(seconds))
    table.at_most(0, "", "simulated lives that failed", len(failed))
    table.notes += [f"seed {each.seed}: {each.problem}" for each in found if each.problem]
    return table


def measure(rounds: int) -> Table:
    return table_of(list(results(range(rounds), DAY, os.cpu_count() or 1)), DAY)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.simulate")
    parser.add_argument("--seeds", type=int, default=10, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--hours", type=float, default=DAY)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    found = []
    seeds = range(args.first, args.first + args.seeds)
    for result in results(seeds, args.hours, args.workers):
        found.append(result)
        if result.problem:
            replay = f"--seeds 1 --first {result.seed} --hours {args.hours:g}"
            print(
                f"{result.problem}\n  replay: python -m tests.bench.simulate {replay}", flush=True
            )
    print(table_of(found, args.hours).markdown())
    return 1 if any(each.problem for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
