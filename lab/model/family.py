"""One half of a topology: the machines that speak IPv4, or those that speak IPv6.

The two halves are laid out alike and apart: what is a NAT in one may be a plain router in the other, a
router may be missing in one of them, and neither hides the other's addresses. As soon as anything in a
topology has IPv6, all that is right on the internet has it, unless it says `ipv6 = false`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from lab.model.blocks import IPV4, IPV6
from lab.model.network import ROUTED6, Address, Host, Network, Relay, Router, Topology

Version: TypeAlias = Literal[4, 6]


class Family:
    def __init__(self, topology: Topology, version: Version) -> None:
        self.topology, self.version = topology, version
        self.blocks = IPV4 if version == 4 else IPV6
        self.lan_key = "lan" if version == 4 else "lan6"
        self.routers = tuple(each for each in topology.routers if self.has_router(each))
        self._routers = {each.name for each in self.routers}
        internet = version == 4 or topology.has_ipv6
        self.relays = tuple(each for each in topology.relays if internet and self._wanted(each))
        self.hosts = tuple(
            each
            for each in topology.hosts
            if self._wanted(each) and (self.uplinks(each) if each.on else internet)
        )

    @property
    def name(self) -> str:
        return f"IPv{self.version}"

    def has_router(self, router: Router) -> bool:
        return router.ipv4 if self.version == 4 else router.ipv6 is not None

    def uplinks(self, host: Host) -> tuple[str, ...]:
        """Those of its routers that speak it."""
        return tuple(router for router in host.on if router in self._routers)

    def given(self, machine: Relay | Router | Host) -> tuple[Address, ...]:
        """The addresses that the text gives it."""
        return tuple(each for each in machine.addresses if each.version == self.version)

    def lan(self, router: Router) -> Network | None:
        return router.lan if self.version == 4 else router.lan6

    def is_routed(self, router: Router) -> bool:
        """No translation: what is above must know the way to its LAN."""
        return router.nat.mapping == "none" if self.version == 4 else router.ipv6 in ROUTED6

    def has_outside_prefix(self, router: Router) -> bool:
        """NPTv6: its LAN is seen under another prefix, which is routed to it."""
        return self.version == 6 and router.ipv6 == "nptv6"

    def _wanted(self, machine: Relay | Host) -> bool:
        return machine.ipv4 if self.version == 4 else machine.ipv6 is not False


def families(topology: Topology) -> tuple[Family, ...]:
    ipv6 = (Family(topology, 6),) if topology.has_ipv6 else ()
    return (Family(topology, 4), *ipv6)
