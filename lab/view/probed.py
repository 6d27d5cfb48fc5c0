"""What the prober found, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.view.terminal import columns

SHOWN = ("mapping", "filtering", "ports", "hairpin")


def table(judged: Sequence[Mapping[str, Any]]) -> str:
    """A row a router and family; the last column has each word in which it is not what it is called."""
    return columns([["router", "family", "called", *SHOWN, "verdict"], *map(row, judged)])


def row(one: Mapping[str, Any]) -> list[str]:
    seen = one["measured"] or {}
    if one["disagreements"]:
        verdict = "NOT AS DECLARED: " + "; ".join(one["disagreements"])
    else:
        verdict = "as declared" if seen else f"not measured: {one['reason']}"
    return [
        one["router"],
        one["family"],
        one["declared"],
        *(shown(seen.get(word)) for word in SHOWN),
        verdict,
    ]


def shown(value: bool | str | None) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value or "-"
