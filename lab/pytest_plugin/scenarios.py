"""`--scenario 38`: only the tests that say `@pytest.mark.scenario(38)`."""

from __future__ import annotations

import pytest

OPTION = "--scenario"
MARK = "scenario"


def select(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted: list[int] = config.getoption(OPTION)
    if not wanted:
        return
    chosen = [item for item in items if numbers(item).intersection(wanted)]
    kept = {id(item) for item in chosen}
    config.hook.pytest_deselected(items=[item for item in items if id(item) not in kept])
    items[:] = chosen


def numbers(item: pytest.Item) -> set[int]:
    return {number for mark in item.iter_markers(MARK) for number in mark.args}
