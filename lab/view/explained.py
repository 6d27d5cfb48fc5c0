"""An explanation for people: the path, what was expected, the way, why, and what would help."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from lab.model.explanation import Explanation, Finding, Hop, Remedy
from lab.view.terminal import columns, program

WIDTH = 100


def text(found: Explanation) -> str:
    blocks = [
        [_path(found), _expected(found)],
        [columns([row for hop in found.hops for row in _hop(hop)], indent="  ")],
        list(_why(found)),
        list(_help(found)),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _path(found: Explanation) -> str:
    path = found.path
    kind = "no path" if path.kind == "none" else path.kind
    via = f" via {path.via}" if path.via else ""
    since = f", for {duration(path.seconds)}" if path.seconds is not None else ""
    there = "no path" if path.from_there == "none" else path.from_there
    other = "" if path.from_there == path.kind else f"; {found.b} -> {found.a}: {there}"
    seen = f", by {path.seen}; its daemon tells nothing" if path.seen else ""
    return f"{found.a} -> {found.b}: {kind}{via}{since}{seen}{other}"


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _expected(found: Explanation) -> str:
    expected = found.expected
    rule = f" (rule {expected.rule})" if expected.rule else ""
    is_so = {
        True: ": as it is",
        False: f", NOT {found.path.kind}",
        None: ", but there is none yet",
    }[found.agrees]
    return f"expected: {'no path' if expected.path == 'none' else expected.path}{rule}{is_so}"


def _hop(hop: Hop) -> Iterator[list[str]]:
    first, *more = hop.words or ("",)
    yield [hop.machine, " ".join(hop.addresses), first]
    yield from (["", "", each] for each in more)


def _why(found: Explanation) -> Iterator[str]:
    if not found.findings:
        return
    yield "why it is direct:" if found.path.kind == "direct" else "why it is not direct:"
    for finding in found.findings:
        yield from _finding(finding)


def _finding(finding: Finding) -> Iterator[str]:
    yield from textwrap.wrap(
        finding.sentence, WIDTH, initial_indent="  - ", subsequent_indent="    "
    )
    yield from (f"      {line}" for line in finding.evidence)


def _help(found: Explanation) -> Iterator[str]:
    if not found.remedies:
        return
    yield "what would make it direct:"
    yield from (line for remedy in found.remedies for line in _remedy(remedy))


def _remedy(remedy: Remedy) -> Iterator[str]:
    yield f"  - {remedy.sentence}"
    if remedy.command:
        commands = (f"{program()} {each}" for each in remedy.command.split(" && "))
        yield f"      {' && '.join(commands)}"
