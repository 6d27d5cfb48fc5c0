"""Bending a link: a change in people's words and units, merged into what the link is, and told back.

What is not named keeps its value. `way` is one direction, or both: *up* is from the machine that the
link is named after towards the internet, *down* is towards it. Jitter and reordering are nothing without
a delay and a burst is nothing without loss, so they go when what they stand on is set to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Literal, TypeAlias, cast, get_args

from lab.model.errors import nearest
from lab.model.link import CLEAN, Icmp, LinkQuality, Shape
from lab.model.quantity import parse_chance, parse_duration, parse_rate

Way = Literal["both", "up", "down"]
Value: TypeAlias = float | int | str | None

LEAST_MTU, MOST_MTU = 576, 65535  # RFC 791 §3.2: the least that every host takes
MOST_BURST = 1000  # packets: beyond that it is an outage, not loss
LONGEST_DELAY = 60.0  # seconds: what waits longer was given up long ago
FASTEST = 34 * 10**9  # bits a second: the kernel counts bytes in 32 bits


class Nonsense(ValueError):
    """A value that means nothing, alone or beside the others."""

    def __init__(self, key: str, problem: str, hint: str = "") -> None:
        super().__init__(key, problem, hint)
        self.key, self.problem, self.hint = key, problem, hint

    def __str__(self) -> str:
        line = f"{self.key}: {self.problem}"
        return f"{line} ({self.hint})" if self.hint else line


@dataclass(frozen=True, slots=True)
class Change:
    way: Way = "both"
    values: Mapping[str, Value] = field(default_factory=dict)
    mtu: int | None = None
    clean: bool = False  # from a clean link, not from what it is


def _burst(text: str) -> int:
    return _whole(text, 1, MOST_BURST)


def _rate(text: str) -> int | None:
    return None if text == "none" else parse_rate(text)


def parse_icmp(text: str) -> Icmp:
    if text not in get_args(Icmp):
        raise ValueError(f'"{text}" is neither "pass" nor "drop"')
    return cast(Icmp, text)


def _whole(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise ValueError(f'"{text}" is not a whole number from {least} to {most}')
    return int(text)


_PARSERS: dict[str, Callable[[str], Value]] = {
    "delay": parse_duration,
    "jitter": parse_duration,
    "loss": parse_chance,
    "burst": _burst,
    "rate": _rate,
    "reorder": parse_chance,
    "duplicate": parse_chance,
    "icmp": parse_icmp,
}
FIELDS = tuple(_PARSERS)
_UNITS = (("Gbit/s", 10**9), ("Mbit/s", 10**6), ("kbit/s", 10**3))
_STANDS_ON = (("jitter", "delay", 0.0), ("reorder", "delay", 0.0), ("burst", "loss", 1))


def parse_change(way: str, clean: bool, words: Mapping[str, object]) -> Change:
    """From the words of a command: `{"delay": "40ms", "loss": "2%"}`; what is None was not named."""
    if way not in get_args(Way):
        raise Nonsense("way", f'"{way}" is no direction', "up, down or both")
    named = {key: str(value) for key, value in words.items() if value is not None}
    mtu = named.pop("mtu", None)
    for key in named:
        if key not in _PARSERS:
            raise Nonsense(key, "no such field", nearest(key, (*FIELDS, "mtu")))
    values = {key: _parsed(key, text, _PARSERS[key]) for key, text in named.items()}
    size = None if mtu is None else _parsed("mtu", mtu, lambda it: _whole(it, LEAST_MTU, MOST_MTU))
    if size is not None and way != "both":
        raise Nonsense("mtu", "holds for both directions", "leave out the direction")
    return Change(way, values, size, clean)  # type: ignore[arg-type]


def _parsed(key: str, text: str, parser: Callable[[str], Any]) -> Any:
    try:
        return parser(text)
    except ValueError as error:
        raise Nonsense(key, str(error)) from None


def bent(quality: LinkQuality, change: Change) -> LinkQuality:
    """The link after the change. Raises Nonsense if the whole of it has no meaning."""
    ways = ("up", "down") if change.way == "both" else (change.way,)
    shapes = {way: _merged(getattr(quality, way), change) for way in ways}
    mtu = quality.mtu if change.mtu is None else change.mtu
    return replace(quality, **shapes, mtu=mtu)


def _merged(shape: Shape, change: Change) -> Shape:
    values = dict(change.values)
    for key, base, nothing in _STANDS_ON:
        if values.get(base) == 0:
            values.setdefault(key, nothing)
    merged = replace(CLEAN if change.clean else shape, **values)  # type: ignore[arg-type]
    check(merged)
    return merged


def check(shape: Shape) -> None:
    """Raises Nonsense for a shape that no link can have."""
    if shape.delay > LONGEST_DELAY:
        raise Nonsense("delay", f"is longer than {LONGEST_DELAY:g} s")
    if shape.jitter > shape.delay:
        raise Nonsense("jitter", "is longer than the delay that it varies")
    if shape.burst > 1 and not shape.loss:
        raise Nonsense("burst", "does nothing without loss")
    if shape.burst > 1 and shape.loss < 1 and shape.loss / (1 - shape.loss) > shape.burst:
        least = ceil(round(shape.loss / (1 - shape.loss), 6))
        hint = f"bursts of {least} packets at the least"
        raise Nonsense("burst", f"{shape.loss:.0%} cannot be lost in so short bursts", hint)
    if shape.reorder and not shape.delay:
        raise Nonsense("reorder", "does nothing without a delay")
    if shape.rate is not None and shape.rate > FASTEST:
        raise Nonsense("rate", "is more than 34gbit", "leave it out: nothing here is as fast")


def differences(before: LinkQuality, after: LinkQuality) -> list[str]:
    """`delay 15 ms -> 40 ms (up)`, one for each value that is another now."""
    up, down = (list(_changes(getattr(before, way), getattr(after, way))) for way in ("up", "down"))
    told = [f"{each} (both ways)" if each in down else f"{each} (up)" for each in up]
    told += [f"{each} (down)" for each in down if each not in up]
    if before.mtu != after.mtu:
        told.append(f"mtu {before.mtu or 'as it came'} -> {after.mtu or 'as it came'}")
    return told


def _changes(before: Shape, after: Shape) -> Iterator[str]:
    for name in FIELDS:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{name} {_value(name, old)} -> {_value(name, new)}"


def describe(quality: LinkQuality) -> str:
    """`delay 15 ms, loss 3% (both ways); mtu 1400`: what is not as on a perfect link."""
    up, down = (list(_words(shape)) for shape in (quality.up, quality.down))
    parts: list[str] = []
    if up == down:
        parts += [f"{', '.join(up)} (both ways)"] if up else []
    else:
        parts += [
            f"{', '.join(words)} ({way})" for words, way in ((up, "up"), (down, "down")) if words
        ]
    if quality.mtu is not None:
        parts.append(f"mtu {quality.mtu}")
    return "; ".join(parts) or "perfect"


def _words(shape: Shape) -> Iterator[str]:
    for name in FIELDS:
        if getattr(shape, name) != getattr(CLEAN, name):
            yield f"{name} {_value(name, getattr(shape, name))}"


def _value(name: str, value: Value) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return value
    if name in ("delay", "jitter"):
        return f"{value * 1000:g} ms"
    if name in ("loss", "reorder", "duplicate"):
        return f"{value * 100:g}%"
    if name == "rate":
        unit, size = next(each for each in _UNITS if value >= each[1])
        return f"{value / size:g} {unit}"
    return f"{value:g}"
