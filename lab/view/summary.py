"""A JUnit file as Markdown, for a CI job's summary: what failed and what was skipped, and why.

python -m lab.view.summary junit.xml >> "$GITHUB_STEP_SUMMARY"
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

_LONGEST = 300  # characters of a reason; the whole of it is in the log
_MARKS = {"failure": "failed", "error": "failed", "skipped": "skipped"}


def markdown(junit: str, title: str = "Labs") -> str:
    """`junit`: the file's text."""
    cases = list(ElementTree.fromstring(junit).iter("testcase"))
    told = [row for case in cases for row in _rows(case)]
    counts = {word: sum(row[0] == word for row in told) for word in ("failed", "skipped")}
    seconds = sum(float(case.get("time", 0)) for case in cases)
    passed = len(cases) - len({name for _, name, _ in told})
    lines = [f"### {title}: {'failed' if counts['failed'] else 'passed'}", ""]
    lines += [
        f"{passed} passed, {counts['failed']} failed, {counts['skipped']} skipped, {seconds:.0f} s"
    ]
    if told:
        lines += ["", "| | test | why |", "| --- | --- | --- |"]
        lines += [f"| {outcome} | `{name}` | {why} |" for outcome, name, why in told]
    return "\n".join(lines) + "\n"


def _rows(case: ElementTree.Element) -> Iterator[tuple[str, str, str]]:
    name = f"{case.get('classname', '')}.{case.get('name', '')}".strip(".")
    for child in case:
        if child.tag in _MARKS:
            why = " ".join((child.get("message") or child.text or "").split())
            yield _MARKS[child.tag], name, why[:_LONGEST].replace("|", "\\|").replace("<", "&lt;")


def main() -> None:
    for name in sys.argv[1:]:
        try:
            print(markdown(Path(name).read_text(), Path(name).stem))
        except (OSError, ElementTree.ParseError) as error:
            sys.exit(f"{name}: {error}")


if __name__ == "__main__":
    main()
