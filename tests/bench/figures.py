"""Figures as people read them: medians, goals beside them, and tables in Markdown or JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


def median(samples: Sequence[float]) -> float:
    return statistics.median(samples)


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that we mean to reach, and what was reached."""

    what: str
    value: float
    bound: float
    unit: str = ""
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def cells(self) -> list[str]:
        bound = f"{'at least' if self.at_least else 'at most'} {number(self.bound, self.unit)}"
        return [self.what, number(self.value, self.unit), bound, "yes" if self.met else "no"]

    def json(self) -> dict[str, Any]:
        kind = "at least" if self.at_least else "at most"
        return {"what": self.what, "value": self.value, "unit": self.unit, kind: self.bound,
                "met": self.met}  # fmt: skip


def number(value: float, unit: str) -> str:
    """Three digits that count: 0.0123 s, 1.23x, 123 ms."""
    digits = f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    return digits + (unit if unit in ("", "x") else f" {unit}")


@dataclass
class Table:
    title: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)

    def add(self, cells: Sequence[str]) -> None:
        assert len(cells) == len(self.columns), (cells, self.columns)
        self.rows.append(cells)

    def at_least(self, bound: float, unit: str, what: str, value: float) -> None:
        self.goals.append(Goal(what, value, bound, unit))

    def at_most(self, bound: float, unit: str, what: str, value: float) -> None:
        self.goals.append(Goal(what, value, bound, unit, at_least=False))

    def markdown(self) -> str:
        lines = [f"### {self.title}", "", line(self.columns), line(["---"] * len(self.columns))]
        lines += [line(row) for row in self.rows]
        return "\n".join([*lines, *([""] if self.notes else []), *self.notes, ""])

    def json(self) -> dict[str, Any]:
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        goals = [goal.json() for goal in self.goals]
        return {"title": self.title, "rows": rows, "notes": self.notes, "goals": goals}


def line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def goals_of(tables: Sequence[Table]) -> Table:
    found = Table("The numbers to reach", ["what", "reached", "goal", "met"])
    for table in tables:
        for goal in table.goals:
            found.add(goal.cells)
    return found
