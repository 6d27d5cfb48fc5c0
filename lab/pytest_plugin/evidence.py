"""What is kept of a lab whose test failed: files in a folder, and the essence in the report.

<folder>/<test>/<lab>/   drawing.txt  topology.json  plan.json  status.json  events.jsonl
                         rules/<router>.<backend>  logs/<host>.log
                         packets.pcapng, with --lab-capture
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.client import Lab
from lab.errors import LabError
from lab.model.plan import Plan

OPTION = "--lab-evidence"
_FOLDER = "lab-evidence"  # in pytest's cache, unless the option says otherwise
_LOG_TAIL = 30  # lines of each daemon's log in a failure's report
_NAME_LENGTH = 100


def folder_of(item: pytest.Item) -> Path:
    chosen: str | None = item.config.getoption(OPTION)
    if chosen:
        root = Path(chosen).absolute()
    else:
        cache = getattr(item.config, "cache", None)  # none with -p no:cacheprovider
        root = cache.mkdir(_FOLDER) if cache else item.config.rootpath / _FOLDER
    return root / re.sub(r"[^\w.-]+", "-", item.nodeid)[-_NAME_LENGTH:].strip("-")


def keep(lab: Lab, folder: Path) -> None:
    """Copies what a running lab knows; what cannot be had is left out."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        (folder / "status.json").write_text(json.dumps(lab.status(), indent=2))
    except LabError as error:  # its keeper is gone, and that may be why the test failed
        (folder / "status.json").write_text(json.dumps({"error": str(error)}))
    plan = lab.plan()
    (folder / "drawing.txt").write_text(plan.drawing + "\n")
    (folder / "plan.json").write_text(plan.to_json())
    for name, rules in _rules(plan):
        file = folder / "rules" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(rules)
    for name in ("topology.json", "events.jsonl"):
        if (lab.folder / name).exists():
            shutil.copy(lab.folder / name, folder)
    shutil.copytree(lab.folder / "logs", folder / "logs")


def sections(lab: Lab) -> Iterator[tuple[str, str]]:
    """The same for the report, with less of the logs."""
    plan = lab.plan()
    yield f"{lab.name}: drawing", plan.drawing
    for name, rules in _rules(plan):
        yield f"{lab.name}: rules of {name}", rules
    yield f"{lab.name}: events", "\n".join(map(json.dumps, lab.events()))
    logs: dict[str, list[str]] = {}
    for host, line in lab.logs():
        logs.setdefault(host, []).append(line)
    for host, lines in logs.items():
        yield f"{lab.name}: log of {host}", "\n".join(lines[-_LOG_TAIL:])


def _rules(plan: Plan) -> Iterator[tuple[str, str]]:
    for machine in plan.machines:
        for rules in machine.rules:
            yield f"{machine.name}.{rules.backend}", rules.text
