"""All benchmarks, or some: `python -m tests.bench --only bringup --rounds 5 [--json] [--out FOLDER]`.

Each runs against a peer in the same rounds, in turn, and prints medians and ratios: absolute figures
swing with whatever else a machine does. Nothing leaves the namespaces that they make. At the end
stand the numbers to reach, and whether they are.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab.view.progress import Progress
from tests.bench.figures import Table, goals_of
from tests.bench.picture import svg
from tests.bench.report import html

NAMES = ("bringup", "links", "startup", "upgrade", "relay", "tunnel", "lossy", "simulate", "page")
LONG = ("fuzz", "tailscale")  # a minute or two a round, and not for everybody: only if asked for
PARTS = {"bringup": ("bringup", "shell")}  # of one benchmark, where it has more than one table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument(
        "--only",
        metavar="BENCHMARK",
        action="append",
        help=f"{', '.join(NAMES)}; or what takes a minute or two a round: {', '.join(LONG)}",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="one JSON document a benchmark")
    parser.add_argument("--out", type=Path, help="a folder for bench.html, .md, .json and .svg")
    args = parser.parse_args()
    if unknown := [name for name in args.only or () if name not in (*NAMES, *LONG)]:
        parser.exit(2, f"--only {unknown[0]}: there is {', '.join((*NAMES, *LONG))}\n")
    if args.rounds < 1:
        parser.exit(2, f"--rounds {args.rounds}: it takes one at least\n")
    names = [part for name in args.only or NAMES for part in PARTS.get(name, (name,))]
    with tempfile.TemporaryDirectory(prefix="punchlab-bench-") as labs:
        os.environ["PUNCHLAB_STATE"] = labs
        tables = measured(names, args.rounds, as_json=args.json)
    goals = goals_of(tables)
    if goals.rows and not args.json:
        print(goals.markdown())
    if args.out:
        write(args.out, [*tables, goals])


def measured(names: Sequence[str], rounds: int, as_json: bool) -> list[Table]:
    """One after the other, each printed as it comes."""
    tables = list[Table]()
    progress = Progress(len(names), "benchmarks")
    for name in names:
        table = importlib.import_module(f"tests.bench.{name}").measure(rounds)
        tables.append(table)
        progress.step()
        progress.end()  # the table is not to begin behind the bar
        print(json.dumps(table.json()) if as_json else table.markdown(), flush=True)
    return tables


def write(folder: Path, tables: list[Table]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.md").write_text("\n".join(table.markdown() for table in tables))
    (folder / "bench.json").write_text(json.dumps([table.json() for table in tables], indent=1))
    (folder / "bench.svg").write_text(svg(tables))
    (folder / "bench.html").write_text(html(tables))


if __name__ == "__main__":
    main()
