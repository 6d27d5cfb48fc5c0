"""Loading a ruleset in one step, by the tool that speaks its language.

`iptables-legacy-restore` loads a table in 2.5 ms where the nf_tables twin needs 15 ms, so it is preferred
where the kernel has both. What fails is reported with the router, the line, and the tool's own words.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from lab.errors import BuildFailed, CannotHere, LabError
from lab.model.plan import Ruleset
from lab.world.namespaces import Visitor
from lab.world.programs import find

_LANGUAGES = {
    "iptables": ("iptables-legacy-restore", "iptables-restore"),
    "ip6tables": ("ip6tables-legacy-restore", "ip6tables-restore"),
    "nftables": ("nft",),
}
_TRIAL = "*filter\nCOMMIT\n*nat\nCOMMIT\n*mangle\nCOMMIT\n*raw\nCOMMIT\n"
_NFT_TABLE = re.compile(r"^(table \w+ \w+)", re.MULTILINE)
_XTABLES_TABLE = re.compile(r"^\*(\w+)", re.MULTILINE)
_LINE = re.compile(r"line:? (\d+)|stdin:(\d+):")


class Loader:
    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._tools: dict[str, str] = {}

    def load(self, machine: str, net: int, ruleset: Ruleset) -> None:
        argv = _argv(self._tool(ruleset.backend))
        result = self._visitor.inside(net, partial(_run, argv, ruleset.text))
        if result.returncode != 0:
            raise BuildFailed(f"{machine}: {_complaint(ruleset, result.stderr)}")

    def replace(
        self, machine: str, net: int, old: Sequence[Ruleset], new: Sequence[Ruleset]
    ) -> None:
        """Each language's tables in one step; maps start empty. What fails leaves the old rules."""
        for ruleset in new:
            self._feed(machine, net, _replacing(ruleset), only_try=True)
        try:
            for ruleset in [*map(_replacing, new), *_clearing(old, new)]:
                self._feed(machine, net, ruleset)
        except LabError:
            with contextlib.suppress(LabError):  # the first failure is the one to tell
                for ruleset in [*map(_replacing, old), *_clearing(new, old)]:
                    self._feed(machine, net, ruleset)
            raise

    def _feed(self, machine: str, net: int, ruleset: Ruleset, only_try: bool = False) -> None:
        argv = _argv(self._tool(ruleset.backend), only_try)
        result = self._visitor.inside(net, partial(_run, argv, ruleset.text))
        if result.returncode != 0:
            raise LabError(f"{machine}: {_complaint(ruleset, result.stderr)}")

    def _tool(self, backend: str) -> str:
        if backend not in self._tools:
            self._tools[backend] = _choose(backend)
        return self._tools[backend]


def _choose(backend: str) -> str:
    """The first tool of the language that is there and works on this kernel."""
    found = [tool for tool in map(find, _LANGUAGES[backend]) if tool]
    if not found:
        package = "nftables" if backend == "nftables" else "iptables"
        raise CannotHere(f"{backend} is not installed", f"apt-get install {package}")
    for tool in found[:-1]:
        # In the keeper's own namespace, which has no rules and no traffic.
        if _run(_argv(tool), _TRIAL).returncode == 0:
            return tool
    return found[-1]


def has_legacy(family: str = "iptables") -> bool:
    """Whether rules go in by the legacy tool, so that people's `iptables` should look there too."""
    tool = find(f"{family}-legacy-restore")
    return tool is not None and _choose(family) == tool


def _argv(tool: str, only_try: bool = False) -> list[str]:
    if tool.endswith("nft"):
        return [tool, "-c", "-f", "-"] if only_try else [tool, "-f", "-"]
    return [tool, "-w", "5", "--test"] if only_try else [tool, "-w", "5"]


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


def _run(argv: list[str], text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, input=text, text=True, capture_output=True, check=False)


def _complaint(ruleset: Ruleset, stderr: str) -> str:
    words = " ".join(stderr.split()) or "no reason given"
    match = _LINE.search(stderr)
    if match is None:
        return f"its {ruleset.backend} rules do not load: {words}"
    number = int(match[1] or match[2])
    lines = ruleset.text.splitlines()
    rule = lines[number - 1].strip() if 0 < number <= len(lines) else ""
    return f"its {ruleset.backend} rules do not load, line {number} ({rule}): {words}"
