"""The NAT of a router, as people write it: a preset's name, or words.

    nat = "port-restricted-cone"
    nat = { mapping = "endpoint-independent", filtering = "address-dependent", timeout = "30s" }
    nat = { preset = "symmetric", hairpin = true }

`parse_nat` reads that, `render` turns the words into the rules of one router.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from difflib import get_close_matches
from typing import Any, get_args, get_type_hints

from lab.model.language import check
from lab.model.presets import PRESETS
from lab.model.ruleset import Site, render, sysctls
from lab.model.words import Nat, NatError

__all__ = ["PRESETS", "Nat", "NatError", "Site", "parse_nat", "render", "sysctls"]

DURATION = re.compile(r"(\d+)\s*(s|m|min|h)?")
SECONDS = {None: 1, "s": 1, "m": 60, "min": 60, "h": 3600}
WORDS = get_type_hints(Nat)


def parse_nat(value: object) -> Nat:
    match value:
        case str():
            return _preset("nat", value)
        case Mapping():
            return _from_words(value)
        case _:
            raise NatError("nat", f"{value!r} is neither a preset's name nor words")


def _preset(key: str, name: object) -> Nat:
    nat = PRESETS.get(name) if isinstance(name, str) else None
    if nat is None:
        raise NatError(key, f"no preset is called {name!r}", _nearest(str(name), PRESETS))
    return nat


def _from_words(words: Mapping[str, Any]) -> Nat:
    known = [field.name for field in fields(Nat)]
    for key in words:
        if key not in known:
            raise NatError(f"nat.{key}", "no such word", _nearest(key, known))
    base = _preset("nat.preset", words["preset"]) if "preset" in words else Nat()
    given: dict[str, Any] = {k: _word(k, v) for k, v in words.items() if k != "preset"}
    nat = replace(base, **given, preset=base.preset if not given else None)
    check(nat)
    return nat


def _word(key: str, value: object) -> object:
    kind = WORDS[key]
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise NatError(f"nat.{key}", f"{value!r} is not true or false")
    if choices := [choice for choice in get_args(kind) if isinstance(choice, str)]:
        if value in choices:
            return value
        raise NatError(f"nat.{key}", f"{value!r} is not a word for it", _nearest(value, choices))
    return _seconds(key, value)


def _seconds(key: str, value: object) -> int:
    found = DURATION.fullmatch(str(value).strip())
    seconds = int(found[1]) * SECONDS[found[2]] if found else 0
    if isinstance(value, bool) or seconds < 1:
        raise NatError(f"nat.{key}", f"{value!r} is not a time of a second or more", 'as in "30s"')
    return seconds


def _nearest(wrong: object, known: Any) -> str:
    near = get_close_matches(str(wrong), list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else "one of: " + ", ".join(known)
