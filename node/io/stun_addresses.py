"""Where the STUN servers of all regions are: names to addresses, told once all are known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from node.io.loop import Loop
from node.io.resolve import resolve
from node.netmap import DerpNode, DerpRegion
from node.wire.endpoint import Endpoint

OnServers = Callable[[dict[int, list[Endpoint]]], None]


class StunAddresses:
    """One look-up of a whole relay map. A later one makes an earlier one's answers void."""

    def __init__(
        self, loop: Loop, regions: Mapping[int, DerpRegion], ipv6: bool, on_servers: OnServers
    ) -> None:
        self._ipv6, self._on_servers = ipv6, on_servers
        self._servers: dict[int, list[Endpoint]] = {region: [] for region in regions}
        self._void = False
        nodes = [node for region in regions.values() for node in region.nodes]
        asked = [node for node in nodes if node.stun_port >= 0]
        self._missing = len(asked)
        for node in asked:
            known = [each for each in (node.ipv4, node.ipv6) if each not in (None, "none")]
            if known:
                self._found(node, [each for each in known if each])
            else:
                resolve(loop, node.host_name, partial(self._found, node))
        if not asked:
            on_servers(self._servers)

    def cancel(self) -> None:
        self._void = True

    def _found(self, node: DerpNode, addresses: list[str]) -> None:
        off = {False: node.ipv4 == "none", True: node.ipv6 == "none" or not self._ipv6}
        usable = [each for each in addresses if not off[":" in each]]
        self._servers[node.region_id] += [Endpoint(each, node.stun_port) for each in usable]
        self._missing -= 1
        if not self._missing and not self._void:
            self._on_servers(self._servers)
