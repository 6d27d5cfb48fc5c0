"""Which tests need a lab, and what becomes of them where this machine cannot have one.

A test that is given a starter of labs needs one; any other says so with `@pytest.mark.needs_lab`. The
mark's words are further capabilities, as lab.doctor names them: `@pytest.mark.needs_lab("tayga")`.
Such a test is skipped with the doctor's words; with `--lab-require`, and in CI, it fails instead, because
nobody reads there what was skipped.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import pytest

from lab import client
from lab.errors import LabError

OPTION = "--lab-require"
MARK = "needs_lab"
FIXTURES = {"lab", "module_lab"}


def mark(items: Sequence[pytest.Item]) -> None:
    for item in items:
        starts = FIXTURES.intersection(getattr(item, "fixturenames", ()))
        if starts and item.get_closest_marker(MARK) is None:
            item.add_marker(MARK)


def check(item: pytest.Item) -> None:
    """Ends a test that cannot be here."""
    marks = list(item.iter_markers(MARK))
    if not marks:
        return
    wanted = {word for each in marks for word in each.args}
    lacking = missing(frozenset(wanted))
    if lacking and is_required(item.config):
        pytest.fail(f"this machine cannot run a lab: {lacking}", pytrace=False)
    if lacking:
        pytest.skip(f"this machine cannot run a lab: {lacking}")


def is_required(config: pytest.Config) -> bool:
    said: str | None = config.getoption(OPTION)
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return said == "yes" or (said is None and in_ci)


@functools.cache
def missing(wanted: frozenset[str]) -> str:
    """In the doctor's words; empty: nothing."""
    try:
        found = _doctor()
    except LabError as error:
        return str(error)
    unknown = wanted - {one["name"] for one in found}
    if unknown:
        return f"nobody knows {', '.join(sorted(unknown))}; see lab.doctor"
    return "; ".join(
        f"{one['name']}: {one['found']} ({one['hint']})"
        for one in found
        if not one["ok"] and (one["needed"] or one["name"] in wanted)
    )


@functools.cache
def _doctor() -> list[dict[str, Any]]:
    return client.doctor()
