"""A daemon's class by the word in the topology. Only what a lab runs is imported."""

from __future__ import annotations

import importlib
import os
import sys

from lab.errors import BadRequest
from lab.world.daemons.contract import Daemon

CALLERS_PATH = "PUNCHLAB_IMPORTS"
KNOWN = {
    "node": "lab.world.daemons.node:Node",
    "derper": "lab.world.daemons.derper:Derper",
    "wireguard-go": "lab.world.daemons.wireguard_go:WireguardGo",
    "miniupnpd": "lab.world.daemons.miniupnpd:Miniupnpd",
    "tayga": "lab.world.daemons.tayga:Tayga",
    "coturn": "lab.world.daemons.coturn:Coturn",
    "command": "lab.world.daemons.command:Command",
}


def daemon_class(runs: str) -> type[Daemon]:
    module, _, name = KNOWN.get(runs, runs).partition(":")
    if runs not in KNOWN:
        sys.path += [each for each in _callers_path() if each not in sys.path]
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # anybody's module may fail in any way
        raise BadRequest(
            f'runs = "{runs}": {type(error).__name__}: {error}',
            f'known: {", ".join(KNOWN)}, or "package.module:Class" of one that can be imported',
        ) from None
    if not (isinstance(found, type) and issubclass(found, Daemon)):
        raise BadRequest(f'runs = "{runs}": not a subclass of {Daemon.__module__}.Daemon')
    return found


def _callers_path() -> list[str]:
    """Who brings up a lab with a class that it can import need not say where it is."""
    return os.environ.get(CALLERS_PATH, "").split(os.pathsep)
