"""`--lab-keep`: when a test fails, its labs stay up until whoever looks has seen enough.

On a terminal that is a shell in the lab, and its end. Elsewhere (a test process of xdist, CI over ssh) it is
`lab.down` from anywhere else, or Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

import pytest

from lab.client import Lab
from lab.errors import LabError

OPTION = "--lab-keep"
CHOSEN_STATE = "PUNCHLAB_STATE"


def pause(item: pytest.Item, labs: Sequence[Lab]) -> None:
    with _uncaptured(item.config):
        has_terminal = os.isatty(0) and "PYTEST_XDIST_WORKER" not in os.environ
        # A test process of xdist speaks with its parent on stdout.
        print(words(item.nodeid, labs, has_terminal), file=sys.__stderr__, flush=True)
        with contextlib.suppress(LabError):  # a lab that is gone needs no looking at
            if has_terminal:
                labs[-1].shell()
            else:
                for lab in labs:
                    _wait_for_end(lab)


@contextlib.contextmanager
def _uncaptured(config: pytest.Config) -> Iterator[None]:
    """With the terminal on all three of stdin, stdout and stderr, as pytest found them."""
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None:
        yield
        return
    capture.suspend(in_=True)
    try:
        yield
    finally:
        capture.resume()


def words(test: str, labs: Sequence[Lab], has_terminal: bool) -> str:
    state = os.environ.get(CHOSEN_STATE)
    program = f"{CHOSEN_STATE}={state} punchlab" if state else "punchlab"
    lines = ["", f"{test} failed; its labs are kept: {', '.join(lab.name for lab in labs)}", ""]
    for lab in labs:
        lines += [
            f"  {program} lab.status {lab.name}",
            f"  {program} lab.shell {lab.name}        # in it: ip netns",
            f"  {program} lab.events {lab.name}",
        ]
    if has_terminal:
        end = f"A shell in {labs[-1].name}; `exit` goes on."
    else:
        downs = "; ".join(f"{program} lab.down {lab.name}" for lab in labs)
        end = f"To go on: {downs}"
    return "\n".join([*lines, "", end])


def _wait_for_end(lab: Lab) -> None:
    for _ in lab.events(follow=True):
        pass
