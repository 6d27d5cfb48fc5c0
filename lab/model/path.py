"""The kinds of path that one host may have to another."""

from __future__ import annotations

from typing import Literal, get_args

PathKind = Literal["direct", "relay", "peer-relay", "none"]
PATH_KINDS: tuple[PathKind, ...] = get_args(PathKind)
