"""The live changes that the page has buttons for: a JSON object in, done to the lab, a sentence out.

{"change": "cut", "a": "node-a", "b": "node-b"}  ->  "node-a <-> node-b: dropped, of open flows too ..."

A change needs some words, and takes others: what is left out or empty is as the command has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lab.client import Lab
from lab.errors import BadRequest
from lab.view import terminal

Words = Mapping[str, str]
PINGS = 3
BENDS = ("delay", "jitter", "loss", "rate", "mtu", "icmp")


def _cut(lab: Lab, words: Words) -> str:
    one_way, reset = bool(words.get("one_way")), bool(words.get("reset"))
    return terminal.cut(lab.cut(words["a"], words["b"], one_way=one_way, reset=reset))


def _restore(lab: Lab, words: Words) -> str:
    return terminal.restored(lab.restore(words["a"], words["b"]))


def _unplug(lab: Lab, words: Words) -> str:
    lab.unplug(words["machine"])
    return f"{words['machine']} is unplugged"


def _plug(lab: Lab, words: Words) -> str:
    lab.plug(words["machine"])
    return f"{words['machine']} is plugged in again"


def _nat(lab: Lab, words: Words) -> str:
    return terminal.nat(lab.nat(words["router"], words["profile"]))


def _flush(lab: Lab, words: Words) -> str:
    return terminal.nat(lab.nat(words["router"], flush=True))


def _wan(lab: Lab, words: Words) -> str:
    addresses = [each.strip() for each in words["wan"].split(",")]
    return terminal.nat(lab.nat(words["router"], wan=addresses))


def _link(lab: Lab, words: Words) -> str:
    named: dict[str, Any] = {key: words[key] for key in BENDS if words.get(key)}
    return terminal.link(lab.link(words["link"], way=words.get("way") or "both", **named))


def _clean(lab: Lab, words: Words) -> str:
    return terminal.link(lab.link(words["link"], clean=True))


def _move(lab: Lab, words: Words) -> str:
    return terminal.moved(lab.move(words["host"], words["router"]))


def _daemon(lab: Lab, words: Words) -> str:
    lab.daemon(words["machine"], words["action"])
    return f"the daemon of {words['machine']}: {words['action']}, done"


def _ping(lab: Lab, words: Words) -> str:
    done = lab.ping(words["a"], words["b"], count=PINGS)
    return (done.stdout or done.stderr).strip()


CHANGES: dict[str, tuple[Callable[[Lab, Words], str], tuple[str, ...]]] = {
    "cut": (_cut, ("a", "b")),
    "restore": (_restore, ("a", "b")),
    "unplug": (_unplug, ("machine",)),
    "plug": (_plug, ("machine",)),
    "nat": (_nat, ("router", "profile")),
    "flush": (_flush, ("router",)),
    "wan": (_wan, ("router", "wan")),
    "link": (_link, ("link",)),
    "clean": (_clean, ("link",)),
    "move": (_move, ("host", "router")),
    "ping": (_ping, ("a", "b")),
    "daemon": (_daemon, ("machine", "action")),
}


def change(lab: Lab, asked: object) -> str:
    """Raises a LabError with what is wrong; waits until it is done."""
    words = asked if isinstance(asked, dict) else {}
    for key, value in words.items():
        if not isinstance(value, str):
            raise BadRequest(f"{key} is a text, not {value!r}")
    if words.get("change") not in CHANGES:
        raise BadRequest(f"there is no such change; there is: {', '.join(CHANGES)}")
    does, keys = CHANGES[words["change"]]
    for key in keys:
        if not words.get(key):
            raise BadRequest(f"{words['change']}: say which {key}")
    return does(lab, words)
