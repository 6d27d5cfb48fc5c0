"""The matrix for a terminal and as Markdown. Rows call, columns are called.

D  direct, proven      r  relay, proven
!  not as expected     x  nothing observed      *  only as expected when tried again alone
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

Json = Mapping[str, Any]

RED, YELLOW, GREEN, BLUE, PLAIN = "\033[31m", "\033[33m", "\033[32m", "\033[34m", "\033[0m"
LEGEND = "rows call; D direct, r relay (both proven by unplugging the relay), ! not as expected, x failed"


def rows(report: Json) -> list[tuple[str, list[Json]]]:
    """Each initiator with its cells, in the order of the columns."""
    size = len(report["profiles"])
    cells: Sequence[Json] = report["cells"]
    return [
        (name, list(cells[at * size : (at + 1) * size]))
        for at, name in enumerate(report["profiles"])
    ]


def mark(cell: Json) -> str:
    if cell["observed"] is None:
        return "x"
    letter = {"direct": "D", "relay": "r"}.get(cell["observed"]["path"], "?")
    if cell["verdict"] != "agrees":
        return letter + "!"
    return letter + ("*" if cell["first_try"] else "")


def terminal(report: Json, colors: bool = False) -> str:
    """The grid, what is wrong in words, and the sums."""
    wide = max(map(len, report["profiles"])) + 4
    numbers = range(1, len(report["profiles"]) + 1)
    lines = [" " * wide + "".join(f"{n:>4}" for n in numbers)]
    for n, (name, cells) in zip(numbers, rows(report), strict=True):
        row = "".join(_paint(cell, f"{mark(cell):>4}", colors) for cell in cells)
        lines.append(f"{n:>2}  {name}".ljust(wide) + row)
    lines += ["", LEGEND]
    if wrong := [told(cell) for cell in report["cells"] if cell["verdict"] != "agrees"]:
        red, plain = (RED, PLAIN) if colors else ("", "")
        lines += ["", *(f"{red}{line}{plain}" for line in wrong)]
    return "\n".join([*lines, "", *sums(report)])


def _paint(cell: Json, text: str, colors: bool) -> str:
    if not colors:
        return text
    if cell["verdict"] != "agrees":
        return f"{RED}{text}{PLAIN}"
    if cell["first_try"]:
        return f"{YELLOW}{text}{PLAIN}"
    return f"{GREEN if cell['observed']['path'] == 'direct' else BLUE}{text}{PLAIN}"


def told(cell: Json) -> str:
    """One cell's disagreement, in words."""
    pair = f"{cell['initiator']} to {cell['responder']}"
    expected, seen = cell["expected"], cell["observed"]
    if seen is None:
        return f"{pair}: {cell['problem']}"
    return (
        f"{pair}: expected {expected['path']} ({expected['rule']}: {expected['reason']}), observed "
        f"{seen['path']} via {seen['via']}; {seen['proof']} with the relay unplugged"
    )


def sums(report: Json) -> list[str]:
    summary = report["summary"]
    seen = [cell["observed"] for cell in report["cells"] if cell["observed"]]
    lines = [
        f"{summary['cells']} cells in {report['seconds']:.0f} s: {summary['agrees']} agree, "
        f"{summary['disagrees']} disagree, {summary['failed']} failed"
    ]
    if again := summary["agrees_only_when_tried_again"]:
        lines += [f"{again} of them agreed only when tried again alone (*)"]
    for title, key in (("first reply", "first_packet_ms"), ("direct", "direct_after_ms")):
        if times := [one[key] for one in seen if one[key] is not None]:
            lines += [f"{title} after {median(times):.0f} ms (median), {max(times):.0f} ms at most"]
    echoes, lost = (sum(one[key] for one in seen) for key in ("echoes", "lost"))
    lines += [f"{lost} of {echoes} echoes lost before the relay was unplugged, the moves included"]
    return lines


def markdown(report: Json) -> str:
    """Grid, sums and every cell: for a job's summary, and for people."""
    names = report["profiles"]
    lines = ["# NAT x NAT", "", *(f"- {line}" for line in sums(report)), ""]
    lines += ["|  | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for name, cells in rows(report):
        marks = [
            f"**{mark(cell)}**" if cell["verdict"] != "agrees" else mark(cell) for cell in cells
        ]
        lines.append(f"| {name} | " + " | ".join(marks) + " |")
    lines += ["", LEGEND.capitalize() + ".", ""]
    if wrong := [told(cell) for cell in report["cells"] if cell["verdict"] != "agrees"]:
        lines += ["## Not as expected", "", *(f"- {line}" for line in wrong), ""]
    return "\n".join([*lines, "## Cells", "", *_cells(report), ""])


def _cells(report: Json) -> Iterator[str]:
    titles = ("from", "to", "expected", "observed", "via", "first reply", "direct after", "lost")
    yield "| " + " | ".join([*titles, "relay unplugged", "verdict"]) + " |"
    yield "|---" * (len(titles) + 2) + "|"
    for cell in report["cells"]:
        yield "| " + " | ".join(fields(cell)) + " |"


def fields(cell: Json) -> list[str]:
    """One cell as words, in the order of the titles."""
    expected, seen = cell["expected"], cell["observed"]
    known = [cell["initiator"], cell["responder"], f"{expected['path']} ({expected['rule']})"]
    if seen is None:
        return [*known, *["-"] * 6, f"failed ({cell['problem']})"]
    verdict = cell["verdict"] + (", tried again" if cell["first_try"] else "")
    observed = [seen["path"], seen["via"] or "-"]
    times = [ms(seen["first_packet_ms"]), ms(seen["direct_after_ms"])]
    return [
        *known,
        *observed,
        *times,
        f"{seen['lost']} of {seen['echoes']}",
        seen["proof"],
        verdict,
    ]


def ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
