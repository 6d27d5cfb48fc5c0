"""Loading a ruleset in one step, by the tool that speaks its language.

`iptables-legacy-restore` loads a table in 2.5 ms where the nf_tables twin needs 15 ms, so it is preferred
where the kernel has both. What fails is reported with the router, the line, and the tool's own words.
"""

from __future__ import annotations

import re
import subprocess
from functools import partial

from lab.errors import BuildFailed, CannotHere
from lab.model.plan import Ruleset
from lab.world.namespaces import Visitor
from lab.world.programs import find

_LANGUAGES = {
    "iptables": ("iptables-legacy-restore", "iptables-restore"),
    "ip6tables": ("ip6tables-legacy-restore", "ip6tables-restore"),
    "nftables": ("nft",),
}
_TRIAL = "*filter\nCOMMIT\n*nat\nCOMMIT\n*mangle\nCOMMIT\n*raw\nCOMMIT\n"
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


def _argv(tool: str) -> list[str]:
    return [tool, "-f", "-"] if tool.endswith("nft") else [tool, "-w", "5"]


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
