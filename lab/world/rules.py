"""Loading a ruleset in one step, by who speaks its language: libnftables, or a program of iptables.

`iptables-legacy-restore` loads a table in 2.5 ms where the nf_tables twin needs 15 ms, so it is preferred
where the kernel has both. What fails is reported with the router, the line, and the speaker's own words.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from lab.errors import BuildFailed, CannotHere, LabError
from lab.model.plan import Ruleset
from lab.world import nftables
from lab.world.namespaces import Visitor
from lab.world.programs import find

_PROGRAMS = {
    "iptables": ("iptables-legacy-restore", "iptables-restore"),
    "ip6tables": ("ip6tables-legacy-restore", "ip6tables-restore"),
}
_TRIAL = "*filter\nCOMMIT\n*nat\nCOMMIT\n*mangle\nCOMMIT\n*raw\nCOMMIT\n"
_NFT_TABLE = re.compile(r"^(table \w+ \w+)", re.MULTILINE)
_XTABLES_TABLE = re.compile(r"^\*(\w+)", re.MULTILINE)
_LINE = re.compile(r"line:? ?(\d+)")


class Loader:
    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._programs: dict[str, str] = {}

    def load(self, machine: str, net: int, ruleset: Ruleset) -> None:
        if complaint := self._feed(net, ruleset):
            raise BuildFailed(f"{machine}: {complaint}")

    def replace(
        self, machine: str, net: int, old: Sequence[Ruleset], new: Sequence[Ruleset]
    ) -> None:
        """Each language's tables in one step; maps start empty. What fails leaves the old rules."""
        complaints = (self._feed(net, _replacing(ruleset), only_try=True) for ruleset in new)
        complaint = next(filter(None, complaints), "")
        if not complaint:
            complaint = self._feed_all(net, [*map(_replacing, new), *_clearing(old, new)])
            if complaint:  # the first failure is the one to tell
                self._feed_all(net, [*map(_replacing, old), *_clearing(new, old)])
        if complaint:
            raise LabError(f"{machine}: {complaint}")

    def _feed_all(self, net: int, rulesets: Sequence[Ruleset]) -> str:
        return next(filter(None, (self._feed(net, ruleset) for ruleset in rulesets)), "")

    def _feed(self, net: int, ruleset: Ruleset, only_try: bool = False) -> str:
        """What is wrong with it; empty if nothing is."""
        if ruleset.backend == "nftables":
            errand = partial(nftables.load, ruleset.text, only_try)
        else:
            errand = partial(_restore, self._program(ruleset.backend), ruleset.text, only_try)
        said = self._visitor.inside(net, errand)
        return _complaint(ruleset, said) if said else ""

    def _program(self, backend: str) -> str:
        if backend not in self._programs:
            self._programs[backend] = _choose(backend)
        return self._programs[backend]


def _choose(backend: str) -> str:
    """The first program of the language that is there and works on this kernel."""
    found = [program for program in map(find, _PROGRAMS[backend]) if program]
    if not found:
        raise CannotHere(f"{backend} is not installed", "apt-get install iptables")
    for program in found[:-1]:
        # In the keeper's own namespace, which has no rules and no traffic.
        if not _restore(program, _TRIAL):
            return program
    return found[-1]


def has_legacy(family: str = "iptables") -> bool:
    """Whether rules go in by the legacy tool, so that people's `iptables` should look there too.

    It is tried out, and that empties tables: not to be asked in a router.
    """
    tool = find(f"{family}-legacy-restore")
    return tool is not None and _choose(family) == tool


def _restore(program: str, text: str, only_try: bool = False) -> str:
    argv = [program, "-w", "5", *["--test"] * only_try]
    done = subprocess.run(argv, input=text, text=True, capture_output=True, check=False)
    return (done.stderr.strip() or "no reason given") if done.returncode else ""


def _tables(ruleset: Ruleset) -> list[str]:
    pattern = _NFT_TABLE if ruleset.backend == "nftables" else _XTABLES_TABLE
    return pattern.findall(ruleset.text)


def _replacing(ruleset: Ruleset) -> Ruleset:
    """What loads in place of what is there; iptables-restore empties its tables by itself."""
    if ruleset.backend != "nftables":
        return ruleset
    first = "".join(f"add {table}; delete {table}; " for table in _tables(ruleset))
    return replace(ruleset, text=first + ruleset.text)  # the lines keep their numbers


def _clearing(old: Sequence[Ruleset], new: Sequence[Ruleset]) -> Iterator[Ruleset]:
    """Empties the tables that only the old rules had."""
    kept = {(each.backend, table) for each in new for table in _tables(each)}
    for ruleset in old:
        gone = [table for table in _tables(ruleset) if (ruleset.backend, table) not in kept]
        if not gone:
            continue
        if ruleset.backend == "nftables":
            text = "".join(f"delete {table}\n" for table in gone)
        else:
            text = "".join(f"*{table}\nCOMMIT\n" for table in gone)
        yield replace(ruleset, text=text)


def _complaint(ruleset: Ruleset, said: str) -> str:
    words = " ".join(said.split())
    match = _LINE.search(said)
    if match is None:
        return f"its {ruleset.backend} rules do not load: {words}"
    number = int(match[1])
    lines = ruleset.text.splitlines()
    rule = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    return f"its {ruleset.backend} rules do not load, line {number} ({rule}): {words}"
