"""NAT x NAT: what is expected of every pair, beside what happens."""

from __future__ import annotations

import json as encoder
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from invoke.exceptions import Exit

from lab.commands.command import command, show
from lab.errors import BadRequest


@command(
    iterable=["expect"],
    help={
        "profiles": "names of NAT presets, with commas between them; all of them if left out",
        "workers": "labs side by side on this machine; as many as it has cores if left out",
        "scheduler": "the address of a Dask scheduler whose workers run the labs instead",
        "out": "a folder for matrix.html, .md, .json, .xml (JUnit), and cells.jsonl as they come",
        "expect": "your own expectation, as symmetric/open=relay; may be repeated",
        "deadline": "seconds after which a lab that hangs is cut off",
        "json": "one JSON document",
    },
)
def matrix(
    c: Any,
    profiles: str = "",
    workers: int = 0,
    scheduler: str = "",
    out: str = "",
    expect: Any = None,
    deadline: float = 90.0,
    json: bool = False,
) -> None:
    """Try every NAT profile against every other.

    Example: invoke lab.matrix --profiles open,port-restricted-cone,symmetric --out matrix

    Exit 1 if any path is not as expected.
    """
    from lab.judge import crew
    from lab.judge import matrix as judge
    from lab.view import matrix_text
    from lab.view.progress import Progress

    if deadline <= 0:
        raise BadRequest(f"--deadline {deadline:g}: it takes some seconds")
    names = judge.profiles_named(profiles)
    expected = judge.expectations(names, expect or ())
    folder = _folder(out)
    started = time.monotonic()
    cells: list[judge.Cell] = []
    with crew.chosen(workers, scheduler) as ours:
        progress = Progress(len(expected), "cells")
        try:
            for some in judge.run(expected, names, ours, progress.say, deadline):
                cells += some
                _keep(folder, [cell.to_json() for cell in some])
                for cell in some:
                    if cell.verdict == "disagrees":
                        progress.say(f"{cell.initiator} to {cell.responder}: {judge.told(cell)}")
                progress.step(len(some))
        finally:
            progress.end()
    report = judge.report(names, cells, time.monotonic() - started)
    _write(folder, report)
    if json:
        show(report)
    else:
        print(matrix_text.terminal(report, colors=sys.stdout.isatty()))
    if report["summary"]["agrees"] != report["summary"]["cells"]:
        raise Exit(code=1)


def _folder(out: str) -> Path | None:
    if not out:
        return None
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cells.jsonl").write_text("")
    except OSError as error:
        raise BadRequest(f"--out {out}: {error.strerror}") from None
    return folder


def _keep(folder: Path | None, cells: Sequence[Mapping[str, Any]]) -> None:
    """As they come: a campaign that is killed keeps what it has found out."""
    if folder is not None:
        with (folder / "cells.jsonl").open("a") as lines:
            lines.writelines(encoder.dumps(cell) + "\n" for cell in cells)


def _write(folder: Path | None, report: Mapping[str, Any]) -> None:
    from lab.view import junit, matrix_html, matrix_text

    if folder is None:
        return
    (folder / "matrix.json").write_text(encoder.dumps(report, indent=1) + "\n")
    (folder / "matrix.md").write_text(matrix_text.markdown(report))
    (folder / "matrix.xml").write_text(junit.junit(report))
    (folder / "matrix.html").write_text(matrix_html.html(report))
