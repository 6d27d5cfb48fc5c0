"""Quantities with a unit, as people write them: `20ms`, `2%`, `20mbit`."""

from __future__ import annotations

import re

NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z%]+)")
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
BITS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9}


def _parse(text: str, units: dict[str, float], example: str) -> float:
    found = NUMBER.fullmatch(text.strip().lower())
    if found is None or found[2] not in units:
        raise ValueError(f'"{text}" is not a quantity such as "{example}"')
    return float(found[1]) * units[found[2]]


def parse_duration(text: str) -> float:
    """Seconds."""
    return round(_parse(text, dict(SECONDS), "20ms"), 9)


def parse_chance(text: str) -> float:
    """`2%` is 0.02."""
    chance = round(_parse(text, {"%": 0.01}, "2%"), 9)
    if chance > 1:
        raise ValueError(f'"{text}" is more than 100%')
    return chance


def parse_rate(text: str) -> int:
    """Bits a second."""
    rate = round(_parse(text, dict(BITS), "20mbit"))
    if rate < 1000:
        raise ValueError(f'"{text}" is less than "1kbit"')
    return rate
