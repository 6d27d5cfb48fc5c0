"""Captures of a running lab."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from invoke.exceptions import Exit

from lab.commands.command import command, remainder, say, show

if TYPE_CHECKING:
    from lab.capture.summary import Summary
    from lab.client import Lab


@command(
    "name",
    help={
        "name": "the lab's name",
        "out": "the file to write: F.pcapng",
        "host": "only this machine's interfaces",
        "link": "only the two ends of this link: see lab.links",
        "seconds": "for so long; without it until Ctrl-C, or until the lab goes down",
        "json": "one JSON document",
    },
)
def capture(
    c: Any,
    name: str,
    out: str = "",
    host: str = "",
    link: str = "",
    seconds: str = "",
    json: bool = False,
) -> None:
    """Capture every interface into one pcapng, with the keys.

    Example: invoke lab.capture double-nat --seconds 10 --out upgrade.pcapng

    With a command after `--` it lasts as long as that, and exits as it does.
    """
    from lab import client
    from lab.view import terminal

    if not out:
        raise Exit("say where to write it: --out F.pcapng", 2)
    what: dict[str, Any] = {"host": host, "link": link, "seconds": _seconds(seconds)}
    lab, words, status = client.Lab.attach(name), remainder(), 0
    if words:
        summary, status = _while_running(lab, words, sys.stderr if json else None, out, **what)
    else:
        summary = _until_told(lab, out, **what)
    told = {"lab": name, "out": out, **asdict(summary)}
    show(told) if json else print(terminal.captured(told))
    if status:
        raise Exit(code=status)


def _until_told(lab: Lab, out: str, host: str, link: str, seconds: float | None) -> Summary:
    from lab.capture.__main__ import stopped_by_signals
    from lab.capture.recorder import record
    from lab.capture.selection import selected
    from lab.capture.sinks import ToFile

    machines = selected(lab.plan(), host, link)
    until = f"for {seconds:g} s" if seconds else "until Ctrl-C"
    with stopped_by_signals() as stop:
        begun = lambda: say(f"capturing into {out} {until}")  # noqa: E731
        return record(lab.folder, machines, ToFile(Path(out)), seconds, stop, begun)


def _while_running(
    lab: Lab, words: list[str], stdout: TextIO | None, out: str, **what: Any
) -> tuple[Summary, int]:
    from lab.capture.__main__ import stopped_by_signals

    # A Ctrl-C is the command's; what was captured up to there is kept.
    with stopped_by_signals(), lab.capture(out, **what) as capture:
        try:
            status = subprocess.call(words, stdout=stdout)
        except OSError as error:
            raise Exit(f"{words[0]}: {error.strerror}", 2) from None
    return capture.stop(), status if status >= 0 else 128 - status


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text) if text else None
    except ValueError:
        seconds = 0.0
    if seconds is not None and not 0 < seconds < 1e9:
        raise Exit(f"--seconds {text}: not a number of seconds", 2)
    return seconds
