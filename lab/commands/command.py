"""What every command has in common: names in three forms, errors as one readable line, exit statuses.

`topology=double-nat`, `--topology double-nat` and plain `double-nat` are the same to a person, so they
are the same here. Exit status: 0 done, 1 what was asked did not come true, 2 bad input, 3 this machine
cannot. An error carries its own status; anything else that is raised is a bug, and shown as one.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from invoke.exceptions import Exit
from invoke.tasks import task

LARGE = 1e9  # more than anybody counts or waits
PREFIXES = ("topology=", "name=", "lab=", "host=", "router=", "link=", "file=")


def command(*positional: str, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """An Invoke task whose positional names may come as `word=value`, and whose errors are for people."""

    def wrap(body: Callable[..., Any]) -> Any:
        @functools.wraps(body)
        def run(context: Any, *args: Any, **kwargs: Any) -> None:
            if "--help" in kwargs.values():
                from lab.view.terminal import program

                raise Exit(f"the command comes last: {program()} --help COMMAND", 2)
            words = {
                key: bare(value) if key in positional else value for key, value in kwargs.items()
            }
            try:
                body(context, *map(bare, args), **words)
            except BrokenPipeError:
                raise Exit(code=nobody_reads()) from None
            except Exception as error:
                status = getattr(error, "exit_status", None)
                if status is None:
                    raise
                raise Exit(str(error), status) from None

        signature = _checked(body)
        run.__signature__ = signature  # type: ignore[attr-defined]
        told = {**options, "help": _with_numbers(signature, options.get("help", {}))}
        return task(run, positional=list(positional), **told)

    return wrap


def _with_numbers(signature: inspect.Signature, told: Mapping[str, str]) -> dict[str, str]:
    """Invoke's help says which options take a text, and nothing of those that take a number."""
    numbers = {
        name.replace("_", "-")
        for name, each in signature.parameters.items()
        if isinstance(each.default, Number | Count)
    }
    return {key: f"{text} (a number)" if key in numbers else text for key, text in told.items()}


class Number(float):
    """A number that somebody types: seconds, mostly. Invoke alone would answer nonsense with a traceback."""

    def __new__(cls, text: object = 0.0) -> Self:
        try:
            value = super().__new__(cls, text)  # type: ignore[arg-type]
        except ValueError:
            raise Exit(f"{text}: expected a number, like 2.5", 2) from None
        if not 0 <= value < LARGE:
            raise Exit(f"{text}: expected a number from 0 to {LARGE:.0f}", 2)
        return value


class Count(int):
    """A whole number that somebody types."""

    def __new__(cls, text: object = 0) -> Self:
        try:
            value = super().__new__(cls, text)  # type: ignore[call-overload]
        except ValueError:
            raise Exit(f"{text}: expected a whole number, like 3", 2) from None
        if not 0 <= value < LARGE:
            raise Exit(f"{text}: expected a whole number from 0 to {LARGE:.0f}", 2)
        return value  # type: ignore[no-any-return]


_TYPED: dict[type, Callable[[Any], Any]] = {float: Number, int: Count}


def _checked(body: Callable[..., Any]) -> inspect.Signature:
    """Invoke reads a value with the type of its default."""
    signature = inspect.signature(body)
    given = [
        each.replace(default=_TYPED.get(type(each.default), lambda same: same)(each.default))
        for each in signature.parameters.values()
    ]
    return signature.replace(parameters=given)


def nobody_reads() -> int:
    """As in `... | head`: no more is to be written, at the end neither. Returns the exit status for that."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 128 + signal.SIGPIPE


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
