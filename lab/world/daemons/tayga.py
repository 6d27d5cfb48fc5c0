"""NAT64 on a router, by tayga: IPv6 packets for its prefix go in at a TUN interface, IPv4 packets come out.

Who stands for which inside host is written down, so that a lab is the same each time; a host that comes by
an address nobody wrote down gets one of the pool's others.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import ClassVar

from lab.world.daemons.contract import Daemon, Event

_LAST_WORDS = "Dynamic pool"  # of its greeting: the interface is attached by then


class Tayga(Daemon):
    needs: ClassVar[tuple[str, ...]] = ("tayga", "stdbuf")
    packages: ClassVar[Mapping[str, str]] = {"stdbuf": "coreutils"}
    needs_tun: ClassVar[bool] = True

    def argv(self) -> list[str]:
        # It greets on stdout, which would wait in a full buffer's worth of silence.
        return ["stdbuf", "-oL", "tayga", "-d", "-c", self.place.write("tayga.conf", self._text())]

    def says_ready(self, line: str, event: Event | None) -> bool:
        return line.startswith(_LAST_WORDS)

    def _text(self) -> str:
        words = self.settings
        lines = [
            f"tun-device {words['device']}",
            f"prefix {words['prefix']}",
            f"ipv4-addr {ip_network(words['pool'])[1]}",
            f"dynamic-pool {words['pool']}",
            f"data-dir {self.place.folder}",
            *(f"map {stand_in} {own}" for own, stand_in in words["hosts"].items()),
        ]
        return "".join(f"{line}\n" for line in lines)
