"""coturn's `turnutils_natdiscovery` against a real coturn in the lab, and what it printed as words.

Without NAT it says "No NAT!", and its packet to its own address never leaves the host: so of hairpin
there is nothing to learn. For a mapping's life it gives no verdict: an answer that was asked for from
another port, that long after the only packet, came to it or did not.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO

import pytest

from lab.client import Lab
from tests.lab.street import JUDGE, JUDGE_ADDRESSES

TOOL = "turnutils_natdiscovery"
NOT_HERE = pytest.mark.skipif(
    not all(map(shutil.which, ("turnserver", TOOL))),
    reason="coturn is not installed: apt-get install coturn",
)

FIRST, SECOND = JUDGE_ADDRESSES
SERVER = ["turnserver", "-n", "-S", "-L", FIRST, "-L", SECOND, "-p", "3478"]
SERVER += ["--alt-listening-port=3479", "--no-tls", "--no-dtls", "--no-cli", "-m", "1"]
READY = "(admin thread)"  # the last to start, after all listeners

# Each from a local port of its own, so none meets what another left behind.
MAPPING, FILTERING, HAIRPIN = "-m -l 5000", "-f -l 6000", "-H -l 7000"
TWO_SECONDS, SIX_SECONDS = "-t -T 2 -l 8000", "-t -T 6 -l 9000"
ALL = (MAPPING, FILTERING, HAIRPIN, TWO_SECONDS, SIX_SECONDS)
USED = "-m -l 10000"  # once a second for six seconds, so that the mapping is never idle

NOTHING = "STUN receive timeout.."
OTHER_ANSWER = "RFC 5780 response 2"
HAIRPINNED = "Received a request (maybe a successful hairpinning)"
LONGEST_STEP = 16  # the other questions take ports between two of this one


@dataclass(frozen=True, slots=True)
class Verdict:
    """In the tool's own words, but for the ports; all empty where nothing was answered."""

    mapping: str = ""
    filtering: str = ""
    ports: str = ""
    hairpin: bool | None = None
    idle: str = ""  # how long a mapping lives that nobody uses


def verdict(printed: Mapping[str, str]) -> Verdict:
    """Of all questions' output, by question."""
    if not any("RFC 5780 response 1" in each for each in printed.values()):
        assert all(NOTHING in each for each in printed.values()), printed
        return Verdict()
    no_nat = "No NAT!" in printed[MAPPING]
    return Verdict(
        mapping="No NAT" if no_nat else behaviour("Mapping", printed[MAPPING]),
        filtering=behaviour("Filtering", printed[FILTERING]),
        ports=ports(printed[MAPPING]),
        hairpin=None if no_nat else HAIRPINNED in printed[HAIRPIN],
        idle=idle(OTHER_ANSWER in printed[TWO_SECONDS], OTHER_ANSWER in printed[SIX_SECONDS]),
    )


def behaviour(of: str, printed: str) -> str:
    [found] = re.findall(rf"NAT with (.+) {of}!", printed)
    return str(found)


def ports(printed: str) -> str:
    inside = set(re.findall(r"Local addr: : .*:(\d+)", printed))
    outside = reflexive_ports(printed)
    if set(outside) == inside:
        return "preserved"
    steps = [int(after) - int(before) for before, after in pairwise(outside)]
    in_a_row = all(0 < step <= LONGEST_STEP for step in steps)
    return "sequential" if in_a_row else "other"


def reflexive_ports(printed: str) -> list[str]:
    """As the server saw them, in order."""
    return re.findall(r"UDP reflexive addr: .*:(\d+)", printed)


def idle(after_two: bool, after_six: bool) -> str:
    assert after_two or not after_six
    return "over 6 s" if after_six else "2 to 6 s" if after_two else "under 2 s"


@contextmanager
def coturn(lab: Lab, folder: Path) -> Iterator[None]:
    own = [f"--pidfile={folder / 'pid'}", f"--db={folder / 'db'}", "--log-file=stdout"]
    pipe = subprocess.PIPE
    server = lab.popen(JUDGE, [*SERVER, *own], stdout=pipe, stderr=subprocess.STDOUT, text=True)
    with server:
        try:
            assert server.stdout is not None
            wait_for(READY, server.stdout)
            yield
        finally:
            server.kill()


def wait_for(words: str, output: IO[str]) -> None:
    seen = []
    for line in output:
        seen.append(line)
        if words in line:
            return
    raise AssertionError("coturn did not start:\n" + "".join(seen))


def ask_at_once(
    lab: Lab, folder: Path, asked: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, str]]:
    """By host and question; all hosts are started first and wait for a word."""
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        asking = [
            stack.enter_context(
                lab.popen(host, script(lab, folder, host, asks), stdin=pipe, stdout=pipe, text=True)
            )
            for host, asks in asked.items()
        ]
        for each in asking:
            assert each.stdout is not None
            assert each.stdout.readline() == "waiting\n"
        for each in asking:
            assert each.stdin is not None
            each.stdin.close()
    return {
        host: {question: (folder / f"{host} {question}").read_text() for question in asks}
        for host, asks in asked.items()
    }


def script(lab: Lab, folder: Path, host: str, asks: Sequence[str]) -> list[str]:
    """Every question at the same time, each with a file for what it prints."""
    own = f"{TOOL} -L {lab.plan().underlay[host]}"
    lines = ["echo waiting", "read _"]
    for question in asks:
        again = "for n in 1 2 3 4 5 6; do {}; sleep 1; done" if question == USED else "{{ {}; }}"
        command = again.format(f"{own} {question} {FIRST}")
        lines.append(f"{command} >'{folder}/{host} {question}' 2>&1 &")
    return ["sh", "-c", "\n".join([*lines, "wait"])]
