"""Coverage-guided fuzzing of everything that reads bytes from strangers.

    python -m tests.bench.fuzz [--seconds 600] [--only TARGET]... [--jobs 2] [--corpus DIR]

The time is shared out between the targets of `fuzz_targets`. The guide is atheris (libFuzzer for
Python, `pip install .[fuzz]`); without it inputs are made blindly, and the table says so. Exit status 1
and the input as a file when a target raises something.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.bench.figures import Table
from tests.node.vectors import VECTORS

MAX_SIZE = 4096  # bytes of one input
MINUTE = 60.0  # seconds a round, when it is one of the benchmarks
NO_GUIDE = "For inputs guided by coverage: `pip install 'punchlab[fuzz]'` (atheris), and again."
IN_CHILD = "--child"
NAMES = (
    "derp_frames", "derp_logins", "disco_bodies", "datagrams", "inner_packets", "texts", "http",
    "websocket", "relay_requests", "relay_frames", "relay_client", "relay_answers",
    "mesh_datagrams", "mesh_disco", "wireguard_device", "tun_reads", "tunnel_batches",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Outcome:
    target: str
    inputs: int
    corpus: int  # inputs that each reached something new
    error: str | None


def seeds() -> list[bytes]:
    """Every hex string among the vectors, and what HTTP and netmaps look like."""
    found: list[bytes] = [
        b"\xffGET /derp HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nDerp-Fast-Start: 1\r\n\r\n",
        b"\xffHTTP/1.1 101 Switching Protocols\r\nContent-Length: 3\r\n\r\nabc",
        b'{"name": "a", "addresses": [], "peers": [], "derp_map": {"Regions": {}}}',
    ]

    def walk(value: object) -> None:
        if isinstance(value, dict):
            for each in value.values():
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)
        elif isinstance(value, str) and len(value) > 7:
            try:
                raw = bytes.fromhex(value)
            except ValueError:
                return
            found.extend((raw, b"\xff" + raw))

    walk(VECTORS)
    return found


def guided(name: str, seconds: float, corpus: Path) -> Outcome:
    argv = [sys.executable, "-m", "tests.bench.fuzz", IN_CHILD, name, str(corpus)]
    argv += [f"-max_total_time={seconds:.0f}", f"-max_len={MAX_SIZE}", "-print_final_stats=1"]
    argv += ["-rss_limit_mb=2048", "-timeout=10", f"-artifact_prefix={corpus.parent}/{name}-"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    counted = re.search(r"number_of_executed_units:\s*(\d+)", done.stderr)
    inputs = int(counted[1]) if counted else 0
    error = None if done.returncode == 0 else done.stderr[-3000:]
    return Outcome(name, inputs, len(list(corpus.iterdir())), error)


def blind(name: str, seconds: float, corpus: Path) -> Outcome:
    from tests.bench.fuzz_targets import TARGETS

    seed = int.from_bytes(os.urandom(4), "big")
    dice, pool, inputs = random.Random(seed), seeds(), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutated(dice.choice(pool), dice)
        inputs += 1
        try:
            TARGETS[name](data)
        except Exception as error:
            (corpus / "crash").write_bytes(data)
            return Outcome(name, inputs, 0, f"{error!r} with the input in {corpus / 'crash'}")
    return Outcome(name, inputs, 0, None)


def mutated(data: bytes, dice: random.Random) -> bytes:
    mutable = bytearray(data)
    for _ in range(dice.randrange(1, 8)):
        at = dice.randrange(len(mutable) + 1)
        match dice.randrange(4):
            case 0:
                mutable[at:at] = dice.randbytes(dice.randrange(1, 9))
            case 1:
                del mutable[at : at + dice.randrange(1, 40)]
            case 2 if at < len(mutable):
                mutable[at] = dice.randrange(256)
            case _:
                mutable[at : at + 4] = dice.choice((bytes(4), b"\xff" * 4, b"\x00\x00\x00\x01"))
    return bytes(mutable[:MAX_SIZE])


def child(name: str, argv: Sequence[str]) -> None:
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

    with atheris.instrument_imports(include=["node"]):
        from tests.bench.fuzz_targets import TARGETS

    atheris.Setup(["fuzz", *argv], TARGETS[name])
    atheris.Fuzz()


def run(names: Sequence[str], seconds: float, jobs: int, folder: Path) -> list[Outcome]:
    has_guide = is_guided()
    jobs = jobs if has_guide else 1  # blind runs are threads, which share one core
    each = max(1.0, seconds * jobs / len(names))

    def one(name: str) -> Outcome:
        corpus = folder / name
        corpus.mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds()):
            (corpus / f"seed-{number}").write_bytes(seed[:MAX_SIZE])
        return (guided if has_guide else blind)(name, each, corpus)

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, names))


def table(outcomes: Sequence[Outcome]) -> Table:
    guide = "atheris" if is_guided() else "nothing: blind"
    found = Table("Fuzzing", ["target", "inputs", "corpus", "found"])
    for each in outcomes:
        error = "nothing" if each.error is None else "SOMETHING"
        found.add([each.target, f"{each.inputs:,}", str(each.corpus), error])
    found.add(["all", f"{sum(each.inputs for each in outcomes):,}", "", f"guided by {guide}"])
    if not is_guided():
        found.notes.append(NO_GUIDE)
    found.notes += [f"{each.target}: {each.error}" for each in outcomes if each.error is not None]
    found.at_most(0, "", "fuzzing: targets that raised", len(found.notes) - (not is_guided()))
    return found


def is_guided() -> bool:
    return importlib.util.find_spec("atheris") is not None


def measure(rounds: int) -> Table:
    """As one of the benchmarks: a minute a round, shared out among the targets."""
    return table(in_passing(NAMES, MINUTE * rounds, os.cpu_count() or 1))


def in_passing(names: Sequence[str], seconds: float, jobs: int) -> list[Outcome]:
    """With a folder of its own, which stays only if there is an input in it that found something."""
    folder = Path(tempfile.mkdtemp(prefix="punchlab-fuzz-"))
    outcomes = run(names, seconds, jobs, folder)
    if not any(each.error for each in outcomes):
        shutil.rmtree(folder)
    return outcomes


def main(argv: Sequence[str]) -> int:
    if argv[:1] == [IN_CHILD]:
        child(argv[1], argv[2:])
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fuzz")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--only", choices=NAMES, action="append")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--corpus", type=Path)
    args = parser.parse_args(argv)
    names = args.only or NAMES
    if args.corpus:
        outcomes = run(names, args.seconds, args.jobs, args.corpus)
    else:
        outcomes = in_passing(names, args.seconds, args.jobs)
    print(table(outcomes).markdown())
    return int(any(each.error for each in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
