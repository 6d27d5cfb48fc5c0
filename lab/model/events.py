"""Event lines, typed: a lab's log is JSON lines, each with `at`, `host` and `event`.

A log of transitions, never rewritten: the present state of a subject is its last line. Daemons of any
make write such lines, so fields that we do not know are kept (`more`), an event that we do not know
is `Other`, and a line that is no event, or lacks what its kind must have, is a `BadEvent`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, TypeAlias, get_args, get_origin, get_type_hints

from lab.model.path import PathKind

DaemonState = Literal["starting", "ready", "frozen", "told", "exited"]


class BadEvent(ValueError):
    """A line that is not an event. The message says what it lacks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    name: ClassVar[str] = ""
    at: float  # seconds, CLOCK_MONOTONIC: the same in every namespace
    host: str
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Other(_Line):
    event: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(_Line):
    name: ClassVar[str] = "ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints(_Line):
    name: ClassVar[str] = "endpoints"
    endpoints: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayConnected(_Line):
    name: ClassVar[str] = "relay_connected"
    region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLost(_Line):
    name: ClassVar[str] = "relay_lost"
    region: str
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake(_Line):
    name: ClassVar[str] = "handshake"
    peer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PathMoved(_Line):
    name: ClassVar[str] = "path"
    peer: str
    kind: PathKind
    via: str | None = None
    rtt_ms: float | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallMeMaybe(_Line):
    name: ClassVar[str] = "call_me_maybe"
    peer: str
    direction: Literal["sent", "received"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped(_Line):
    name: ClassVar[str] = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon(_Line):
    name: ClassVar[str] = "daemon"
    state: DaemonState


Event: TypeAlias = (
    Ready
    | Endpoints
    | RelayConnected
    | RelayLost
    | Handshake
    | PathMoved
    | CallMeMaybe
    | Stopped
    | Daemon
    | Other
)
KINDS: dict[str, Any] = {kind.name: kind for kind in get_args(Event) if kind is not Other}


def parse(raw: object) -> Event:
    if not isinstance(raw, dict):
        raise BadEvent("not a JSON object")
    if not isinstance(raw.get("event"), str):
        raise BadEvent("event: missing, or not a text")
    kind = KINDS.get(raw["event"], Other)
    left = {key: value for key, value in raw.items() if key != "event" or kind is Other}
    given = {key: _checked(key, hint, left.pop(key, None)) for key, hint in _hints(kind).items()}
    event: Event = kind(**given, more=left)
    return event


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {each.name: hints[each.name] for each in fields(kind) if each.name != "more"}


def _checked(key: str, hint: Any, value: Any) -> Any:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        value = tuple(value)
    if not _fits(hint, value):
        raise BadEvent(f"{key}: missing" if value is None else f"{key}: {value!r} cannot be")
    return value


def _fits(hint: Any, value: object) -> bool:
    if isinstance(hint, UnionType):
        return any(_fits(each, value) for each in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is NoneType:
        return value is None
    return isinstance(value, get_origin(hint) or hint)
