"""Other netmaps for nodes that run; a daemon that the lab starts again has its first one again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from lab.pytest_plugin import Net
from tests.e2e.asked import netmap_of, node

Netmap = dict[str, Any]


def change_netmap(net: Net, host: str, change: Callable[[Netmap], Netmap]) -> None:
    file = netmap_of(net, host)
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    node(net, host, "reload")


def without(peer: str) -> Callable[[Netmap], Netmap]:
    return lambda netmap: (
        netmap | {"peers": [each for each in netmap["peers"] if each["name"] != peer]}
    )


def with_peer(name: str, **fields: object) -> Callable[[Netmap], Netmap]:
    return lambda netmap: (
        netmap
        | {"peers": [each | fields if each["name"] == name else each for each in netmap["peers"]]}
    )
