"""A router's daemon for port mapping on request: miniupnpd, with UPnP-IGD, NAT-PMP and PCP.

It speaks only on stderr, so that is shown to us as well: it is where it says that it is ready, and what
it maps. It never maps a port on an address that cannot be public (RFC 1918, 6598, 5737): a router
behind a carrier's NAT refuses, as real ones do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from uuid import NAMESPACE_DNS, uuid5

from lab.world.daemons.contract import Daemon, Event

CONFIGURATION = """\
ext_ifname=wan0
listening_ip=lan0
http_port=0
ipv6_disable=yes
enable_natpmp={natpmp}
enable_upnp={upnp}
secure_mode=yes
system_uptime=no
notify_interval=60
uuid={uuid}
min_lifetime=1
max_lifetime=86400
upnp_table_name=portmap
upnp_nat_table_name=portmap
upnp_forward_chain=miniupnpd
upnp_nat_chain=prerouting_miniupnpd
upnp_nat_postrouting_chain=postrouting_miniupnpd
allow 1024-65535 {lan} 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""
BOTH = 'exec "$0" "$@" 2> >(exec tee -a /dev/stderr)'  # stderr to the log, and a copy to stdout
SERVES_UPNP, SERVES_GATEWAY = "HTTP listening on port", "Listening for NAT-PMP/PCP traffic"


class Miniupnpd(Daemon):
    needs: ClassVar[tuple[str, ...]] = ("miniupnpd", "bash", "tee")
    packages: ClassVar[Mapping[str, str]] = {"miniupnpd": "miniupnpd-nftables", "tee": "coreutils"}

    def argv(self) -> list[str]:
        place = self.place
        text = CONFIGURATION.format(
            natpmp="yes" if self._serves_gateway else "no",
            upnp="yes" if "upnp" in self.settings["protocols"] else "no",
            uuid=uuid5(NAMESPACE_DNS, place.host),
            lan=self.settings["lan"],
        )
        argv = ["miniupnpd", "-d", "-f", place.write("miniupnpd.conf", text)]
        return ["bash", "-c", BOTH, *argv, "-P", str(place.folder / "pid")]

    def says_ready(self, line: str, event: Event | None) -> bool:
        """Of its sockets the one for NAT-PMP and PCP is the last."""
        return (SERVES_GATEWAY if self._serves_gateway else SERVES_UPNP) in line

    @property
    def _serves_gateway(self) -> bool:
        return not {"nat-pmp", "pcp"}.isdisjoint(self.settings["protocols"])
