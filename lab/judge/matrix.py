"""NAT x NAT: what is expected of each ordered pair of profiles, beside what was observed.

A cell is one initiator's profile and one responder's. What is expected comes from the reference picture
with these two NATs (`lab.model.verdict`); what is observed comes from a lab, most often one that many
cells share (`lab.judge.block` says why that is sound). Told and proven are two things: a cell agrees if
the node says what was expected, *and* its echoes show it while the relay is unplugged.

A cell that disagrees is tried once more in a lab of its own, and that counts: a machine that was too
busy for a moment says nothing about NATs. Its first try stays in the result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from lab.errors import BadRequest
from lab.judge.attend import Task
from lab.judge.campaign import Campaign, Result
from lab.judge.crew import Crew
from lab.model.errors import nearest
from lab.model.presets import PRESETS
from lab.model.topology import load
from lab.model.verdict import expect

BLOCK = 6  # profiles a side: twelve nodes start in a second or two, and serve 36 cells
DEADLINE = 90.0  # seconds for a lab; it takes ten on a quiet machine
PROOFS = {"direct": "flows", "relay": "silence"}

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Expected:
    path: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class Cell:
    initiator: str
    responder: str
    expected: Expected
    observed: Mapping[str, Any] | None = None  # as lab.judge.block tells it
    problem: str = ""  # why nothing was observed
    first_try: Mapping[str, Any] | None = None  # what disagreed, before it was tried alone
    worker: str = ""

    @property
    def verdict(self) -> str:
        """agrees, disagrees or failed."""
        if self.observed is None:
            return "failed"
        is_so = self.observed["path"] == self.expected.path
        shown = self.observed["proof"] == PROOFS[self.expected.path]
        return "agrees" if is_so and shown else "disagrees"

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"verdict": self.verdict}


def profiles_named(names: str) -> list[str]:
    """`a,b,c`, or all of them."""
    if not names:
        return list(PRESETS)
    found = [name.strip() for name in names.split(",")]
    for name in found:
        if name not in PRESETS:
            raise BadRequest(f"there is no profile {name!r}", nearest(name, list(PRESETS)))
    return list(dict.fromkeys(found))


def expectations(profiles: Sequence[str], stated: Sequence[str] = ()) -> dict[Pair, Expected]:
    """The verdict on each pair, but for those of which something else was stated: `a/b=relay`."""
    found = {(one, other): _verdict(one, other) for one in profiles for other in profiles}
    for text in stated:
        pair, path = _statement(text)
        if pair not in found:
            raise BadRequest(f"--expect {text}: that pair is not in this matrix")
        found[pair] = Expected(path, "stated", "stated with --expect")
    return found


def _verdict(one: str, other: str) -> Expected:
    words = {"router.home-a.nat": one, "router.home-b.nat": other}
    verdict = expect(load("nat-pair", words), "node-a", "node-b")
    return Expected(verdict.path, verdict.rule, verdict.reason)


def _statement(text: str) -> tuple[Pair, str]:
    pair, _, path = text.partition("=")
    one, slash, other = pair.partition("/")
    if not slash or path not in PROOFS:
        raise BadRequest(
            f"--expect {text}: expected INITIATOR/RESPONDER=direct or =relay",
            "for example --expect symmetric/open=relay",
        )
    return (one, other), path


def blocks(profiles: Sequence[str]) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Even rectangles that cover the matrix."""
    sides = math.ceil(len(profiles) / BLOCK)
    size = math.ceil(len(profiles) / sides)
    chunks = [profiles[at : at + size] for at in range(0, len(profiles), size)]
    return ((ones, others) for ones in chunks for others in chunks)


def run(
    expected: Mapping[Pair, Expected],
    profiles: Sequence[str],
    crew: Crew,
    tell: Callable[[str], None],
    deadline: float = DEADLINE,
) -> Iterator[list[Cell]]:
    """Cells as soon as they are known, a lab's together."""
    tasks = [_task(ones, others) for ones, others in blocks(profiles)]
    doubted: list[Cell] = []
    for result in Campaign(crew, deadline, tell).run(tasks):
        cells = list(_cells(result, expected))
        for cell in cells:
            if cell.verdict == "disagrees":
                tell(f"{_name(cell)}: {told(cell)}; it is tried again alone")
                doubted.append(cell)
        yield [cell for cell in cells if cell.verdict != "disagrees"]
    first = {(cell.initiator, cell.responder): cell.observed for cell in doubted}
    alone = [_task([cell.initiator], [cell.responder]) for cell in doubted]
    for result in Campaign(crew, deadline, tell).run(alone):
        yield [
            replace(cell, first_try=first[cell.initiator, cell.responder])
            for cell in _cells(result, expected)
        ]


def _task(ones: Sequence[str], others: Sequence[str]) -> Task:
    name = f"{_side(ones)} to {_side(others)}"
    request = {"initiators": list(ones), "responders": list(others)}
    return Task(name, "lab.judge.block", request)


def _side(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]}..{names[-1]}"


def _cells(result: Result, expected: Mapping[Pair, Expected]) -> Iterator[Cell]:
    request, attempt = result.task.request, result.attempt
    pairs = [(a, b) for a in request["initiators"] for b in request["responders"]]
    done = attempt.outcome == "done"
    observed = attempt.answer if done else [None] * len(pairs)
    problem = "" if done else f"{attempt.outcome}: {attempt.answer}"
    for pair, seen in zip(pairs, observed, strict=True):
        yield Cell(*pair, expected[pair], seen, problem, worker=attempt.worker)


def _name(cell: Cell) -> str:
    return f"{cell.initiator} to {cell.responder}"


def told(cell: Cell) -> str:
    """What was expected and what came, in words."""
    if cell.observed is None:
        return cell.problem
    return (
        f"expected {cell.expected.path} ({cell.expected.rule}), observed {cell.observed['path']}, "
        f"and {cell.observed['proof']} with the relay unplugged"
    )


def report(profiles: Sequence[str], cells: Sequence[Cell], seconds: float) -> dict[str, Any]:
    """All of it as one JSON document, in the order of the profiles."""
    order = {profile: n for n, profile in enumerate(profiles)}
    cells = sorted(cells, key=lambda cell: (order[cell.initiator], order[cell.responder]))
    count = {
        word: sum(cell.verdict == word for cell in cells)
        for word in ("agrees", "disagrees", "failed")
    }
    again = sum(cell.first_try is not None and cell.verdict == "agrees" for cell in cells)
    return {
        "profiles": list(profiles),
        "seconds": round(seconds, 1),
        "cells": [cell.to_json() for cell in cells],
        "summary": {"cells": len(cells), **count, "agrees_only_when_tried_again": again},
    }
