"""`python -m lab.capture FOLDER --out F.pcapng`: a capture in a process of its own, for `Lab.capture`.

Says on stdout, in JSON lines, that it has begun, and what it got. SIGINT or SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from lab.capture.recorder import record
from lab.capture.sinks import LastBytes, ToFile
from lab.errors import LabError


@contextmanager
def stopped_by_signals() -> Iterator[int]:
    """A descriptor that becomes readable on Ctrl-C or SIGTERM, which no longer interrupt anything."""
    stop = os.eventfd(0, os.EFD_CLOEXEC)
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: os.eventfd_write(stop, 1)) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        os.close(stop)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.capture")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--machines", type=json.loads, required=True)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--last", type=int, help="bytes; nothing is written before the end")
    args = parser.parse_args()
    try:
        with stopped_by_signals() as stop:
            sink = LastBytes(args.out, args.last) if args.last else ToFile(args.out)
            begun = lambda: _say({"begun": True})  # noqa: E731
            summary = record(args.folder, args.machines, sink, args.seconds, stop, begun)
    except LabError as error:
        _say({"error": error.problem, "hint": error.hint, "status": error.exit_status})
        sys.exit(error.exit_status)
    _say(asdict(summary))


def _say(words: dict[str, object]) -> None:
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main()
