"""All benchmarks, or one: `python -m tests.bench --only bringup --rounds 5 [--json]`.

Each runs against a peer in the same rounds, in turn, and prints medians and ratios: absolute figures
swing with whatever else a machine does. Nothing leaves the namespaces that they make.
"""

from __future__ import annotations

import argparse
import importlib
import json

from lab.view.progress import Progress

NAMES = ("bringup", "relay", "simulate", "tunnel", "lossy")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--only", choices=NAMES, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    names = args.only or NAMES
    progress = Progress(len(names), "benchmarks")
    for name in names:
        table = importlib.import_module(f"tests.bench.{name}").measure(args.rounds)
        progress.step()
        progress.end()  # the table is not to begin behind the bar
        print(json.dumps(table.json()) if args.json else table.markdown() + "\n", flush=True)


if __name__ == "__main__":
    main()
