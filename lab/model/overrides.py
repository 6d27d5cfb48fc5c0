"""Values from outside, in place of the text's: `--set router.home-a.nat=symmetric`.

The key is a path through the tables, the value is TOML, or else a plain text. What it overrides must
be there: a machine by that name, or a link, whose table is made when the text has none.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Any

from lab.model.errors import TopologyError, nearest

SOURCE = "--set"  # stands where a file's name does in errors
GROUPS = ("relay", "router", "host", "link")
SHORT_FORMS = {"nat": "preset"}  # a text there stands for a table with this key


def override(tables: dict[str, Any], overrides: Mapping[str, str]) -> None:
    """Puts those values into the tables."""
    for key, text in overrides.items():
        _set(tables, key, _value(key, text))


def _value(key: str, text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    except (ValueError, RecursionError) as error:  # too many digits or levels
        raise TopologyError(SOURCE, key, f"not TOML: {error}") from None


def _set(tables: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    _check_start(tables, key, path or [last])
    here = tables
    for depth, name in enumerate(path):
        inner = here.setdefault(name, {})
        if isinstance(inner, str) and name in SHORT_FORMS:
            inner = here[name] = {SHORT_FORMS[name]: inner}
        if not isinstance(inner, dict):
            where = ".".join(path[: depth + 1])
            raise TopologyError(SOURCE, key, f"{where} is not a table")
        here = inner
    here[last] = value


def _check_start(tables: Mapping[str, Any], key: str, path: list[str]) -> None:
    group = path[0]
    if group not in (*GROUPS, "title"):
        raise TopologyError(SOURCE, key, "unknown key", nearest(group, (*GROUPS, "title")))
    if group not in GROUPS:
        return
    if len(path) < 2:
        raise TopologyError(SOURCE, key, "names a table", "say which key of it")
    machines = tables.get(group, {})
    if group != "link" and isinstance(machines, dict) and path[1] not in machines:
        hint = nearest(path[1], machines)
        raise TopologyError(SOURCE, key, f'there is no {group} "{path[1]}"', hint)
