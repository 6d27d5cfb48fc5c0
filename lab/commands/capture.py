"""Captures of a running lab."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from invoke.exceptions import Exit

from lab.commands.command import command, say, show


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
    """
    from pathlib import Path

    from lab import client
    from lab.capture.__main__ import stopped_by_signals
    from lab.capture.recorder import record
    from lab.capture.selection import selected
    from lab.capture.sinks import ToFile
    from lab.view import terminal

    if not out:
        raise Exit("say where to write it: --out F.pcapng", 2)
    patience = _seconds(seconds)
    lab = client.Lab.attach(name)
    machines = selected(lab.plan(), host, link)
    until = f"for {patience:g} s" if patience else "until Ctrl-C"
    with stopped_by_signals() as stop:
        begun = lambda: say(f"capturing into {out} {until}")  # noqa: E731
        summary = record(lab.folder, machines, ToFile(Path(out)), patience, stop, begun)
    told = {"lab": name, "out": out, **asdict(summary)}
    show(told) if json else print(terminal.captured(told))


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text) if text else None
    except ValueError:
        seconds = 0.0
    if seconds is not None and not 0 < seconds < 1e9:
        raise Exit(f"--seconds {text}: not a number of seconds", 2)
    return seconds
