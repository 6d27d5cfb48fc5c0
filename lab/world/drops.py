"""What a router's rules have dropped: each such rule counts, and says in its comment what it drops.

Read by the tools that loaded the rules, from what they print for people; a rule that says nothing is
somebody else's, and told as such.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

from lab.model.plan import Ruleset
from lab.world.programs import find
from lab.world.rules import has_legacy

Drop = dict[str, Any]

_XTABLES = re.compile(
    r'^\[(\d+):\d+\] (-A .*?)(?: -m comment --comment "([^"]+)")? (-j (?:DROP|REJECT).*)$',
    re.MULTILINE,
)
_CHAIN = re.compile(r"\s*chain (\S+) {")
_NFT = re.compile(r'\s*(.*?) ?counter packets (\d+) bytes \d+ drop(?: comment "([^"]+)")?')
NOT_OURS = "by a rule that is not the lab's"


def readers(rulesets: Sequence[Ruleset]) -> list[list[str]]:
    """The command that shows each language's counters. Not to be called in a router: it tries tools out."""
    backends = dict.fromkeys(ruleset.backend for ruleset in rulesets)
    return [argv for backend in backends if (argv := _reader(backend))]


def drops(commands: Sequence[Sequence[str]]) -> list[Drop]:
    """In the calling thread's namespace. {"words", "packets", "rule": as its language has it}"""
    found: list[Drop] = []
    for argv in commands:
        done = subprocess.run(argv, text=True, capture_output=True, check=False)
        found += from_nft(done.stdout) if argv[0].endswith("nft") else from_xtables(done.stdout)
    return found


def from_xtables(text: str) -> Iterator[Drop]:
    for packets, match, words, target in _XTABLES.findall(text):
        rule = f"iptables: {match} {target}"
        yield {"words": words or NOT_OURS, "packets": int(packets), "rule": rule}


def from_nft(text: str) -> Iterator[Drop]:
    chain = ""
    for line in text.splitlines():
        if found := _CHAIN.match(line):
            chain = found[1]
        elif found := _NFT.match(line):
            match, packets, words = found.groups()
            rule = f"nftables: chain {chain}: {match} drop".replace(":  ", ": ")
            yield {"words": words or NOT_OURS, "packets": int(packets), "rule": rule}


def _reader(backend: str) -> list[str] | None:
    """None if it is not installed: then nobody has counted."""
    if backend == "nftables":
        words = ["nft", "-t", "list", "ruleset"]  # -t: without what is in its sets
    else:
        words = [f"{backend}-legacy-save" if has_legacy(backend) else f"{backend}-save", "-c"]
    path = find(words[0])
    return [path, *words[1:]] if path else None
