"""What a capture proves."""

from __future__ import annotations

from typing import Any

from invoke.exceptions import Exit

from lab.commands.command import command, show


@command(
    "file",
    iterable=["find"],
    help={
        "file": "what lab.capture has written, of all hosts",
        "find": "search the links for this text, not for what went through the tunnels; may be repeated",
        "mermaid": "each upgrade as a sequence diagram, and nothing else",
        "json": "one JSON document",
    },
)
def evidence(
    c: Any, file: str, find: Any = None, mermaid: bool = False, json: bool = False
) -> None:
    """What a capture proves: losses, upgrades, any plaintext.

    Example: invoke lab.evidence upgrade.pcapng

    Packets lost, doubled and out of order at each change of path, and how it came about.
    Exit status 1: something from inside a tunnel was seen on a link.
    """
    from pathlib import Path

    from lab.judge import evidence as judge
    from lab.judge.recording import recorded
    from lab.view import evidence as view
    from lab.view.sequence import sequence

    words = [text.encode() for text in find or ()]
    told = judge.evidence(recorded(Path(file)), words).told()
    if mermaid:
        print("\n".join(map(sequence, told["upgrades"])), end="")
    elif json:
        show(told)
    else:
        print(view.text(told, Path(file).name))
    if told["plaintext"]["found_on_links"]:
        raise Exit(code=1)
