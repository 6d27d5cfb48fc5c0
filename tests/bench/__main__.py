"""All benchmarks, or one: `python -m tests.bench --only bringup --rounds 5 [--json]`.

Each runs against a peer in the same rounds, in turn, and prints medians and ratios: absolute figures
swing with whatever else a machine does. Nothing leaves the namespaces that they make.
"""

from __future__ import annotations

import argparse
import importlib
import json

NAMES = ("bringup", "relay", "simulate", "tunnel", "lossy")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--only", choices=NAMES, action="append")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    for name in args.only or NAMES:
        table = importlib.import_module(f"tests.bench.{name}").measure(args.rounds)
        print(json.dumps(table.json()) if args.json else table.markdown() + "\n", flush=True)


if __name__ == "__main__":
    main()
