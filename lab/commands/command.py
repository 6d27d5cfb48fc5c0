"""What every command has in common: names in three forms, errors as one readable line, exit statuses.

`topology=double-nat`, `--topology double-nat` and plain `double-nat` are the same to a person, so they
are the same here. Exit status: 0 done, 1 what was asked did not come true, 2 bad input, 3 this machine
cannot. An error carries its own status; anything else that is raised is a bug, and shown as one.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

from invoke.exceptions import Exit
from invoke.tasks import task

PREFIXES = ("topology=", "name=", "lab=", "host=", "router=", "link=", "file=")


def command(*positional: str, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """An Invoke task whose positional names may come as `word=value`, and whose errors are for people."""

    def wrap(body: Callable[..., Any]) -> Any:
        @functools.wraps(body)
        def run(context: Any, *args: Any, **kwargs: Any) -> None:
            words = {
                key: bare(value) if key in positional else value for key, value in kwargs.items()
            }
            try:
                body(context, *map(bare, args), **words)
            except Exception as error:
                status = getattr(error, "exit_status", None)
                if status is None:
                    raise
                raise Exit(str(error), status) from None

        return task(run, positional=list(positional), **options)

    return wrap


def bare(value: Any) -> Any:
    """`topology=double-nat` -> `double-nat`: Invoke passes the literal text of a positional."""
    if isinstance(value, str):
        for prefix in PREFIXES:
            if value.startswith(prefix):
                return value.removeprefix(prefix)
    return value


def overrides(words: Sequence[str] | None) -> dict[str, str]:
    """`--set router.home-a.nat=symmetric`, as often as it was given."""
    found = {}
    for word in words or ():
        key, equals, value = word.partition("=")
        if not equals:
            raise Exit(f"--set {word}: expected KEY=VALUE, like router.home-a.nat=symmetric", 2)
        found[key] = value
    return found


def remainder() -> list[str]:
    """The words after `--`, each as the caller quoted it (Invoke itself joins them with spaces)."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def show(document: Any) -> None:
    """One JSON document on stdout, and nothing else there."""
    print(json.dumps(document, indent=2))


def say(text: str) -> None:
    """Progress: on stderr, so that stdout stays the answer."""
    print(text, file=sys.stderr, flush=True)
