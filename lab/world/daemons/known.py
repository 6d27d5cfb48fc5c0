"""A daemon's class by the word in the topology. Only what a lab runs is imported."""

from __future__ import annotations

import importlib

from lab.errors import BuildFailed
from lab.world.daemons.contract import Daemon

KNOWN = {
    "node": "lab.world.daemons.node:Node",
    "derper": "lab.world.daemons.derper:Derper",
    "wireguard-go": "lab.world.daemons.wireguard_go:WireguardGo",
    "miniupnpd": "lab.world.daemons.miniupnpd:Miniupnpd",
    "tayga": "lab.world.daemons.tayga:Tayga",
    "command": "lab.world.daemons.command:Command",
}


def daemon_class(runs: str) -> type[Daemon]:
    module, _, name = KNOWN.get(runs, runs).partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise BuildFailed(
            f'runs = "{runs}": {error}',
            f'known: {", ".join(KNOWN)}, or "package.module:Class" of one that can be imported',
        ) from None
    if not (isinstance(found, type) and issubclass(found, Daemon)):
        raise BuildFailed(f'runs = "{runs}": not a subclass of {Daemon.__module__}.Daemon')
    return found
