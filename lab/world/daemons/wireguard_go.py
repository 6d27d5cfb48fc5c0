"""wireguard-go: somebody else's WireGuard, in user space, to talk to ours.

It knows no relay and no discovery: it is found by the endpoint of a host on the internet, answers where
it was last heard from, and has a preshared key with everybody. `wg` configures it as soon as its socket
takes connections; that, and what its log says of handshakes, is told as events.

Not as soon as the socket is there: `wg` deletes one that refuses it, as left behind by a dead process.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from lab.world.daemons.contract import Daemon, Event
from lab.world.roster import Member

INTERFACE = "wg0"
MTU = 1280  # the nodes' own
SOCKET = f"/run/wireguard/{INTERFACE}.sock"
LISTENS = "00010000"  # among the flags of a socket: __SO_ACCEPTCON
START = f"""\
exec > >(exec tee -a /dev/stderr)
rm -f {SOCKET}
export LOG_LEVEL=verbose
{{
    until [[ $(< /proc/net/unix) =~ " {LISTENS} 0001 01 "[[:space:][:digit:]]+[^[:space:]]*{SOCKET} ]]
    do sleep 0.02; done
    wg setconf {INTERFACE} "$1"
    ip link set {INTERFACE} mtu {MTU} up
    ip -batch "$2"
    echo '{{"event": "ready"}}'
}} &
exec wireguard-go -f {INTERFACE}
"""
_HANDSHAKE = re.compile(r"peer\((\S{4})…(\S{4})\) - Received handshake response")


class WireguardGo(Daemon):
    needs: ClassVar[tuple[str, ...]] = ("wireguard-go", "wg", "ip", "bash", "tee")
    packages: ClassVar[Mapping[str, str]] = {
        "wg": "wireguard-tools",
        "ip": "iproute2",
        "tee": "coreutils",
    }
    needs_tun: ClassVar[bool] = True

    def argv(self) -> list[str]:
        place, roster = self.place, self.place.roster
        own = [f"address add {each} dev {INTERFACE}" for each in self._me.networks]
        routes = [
            f"route add {each} dev {INTERFACE}"
            for peer in roster.peers(place.host)
            for each in peer.networks
        ]
        settings = place.write("wg0.conf", self._settings(), 0o600)
        commands = place.write("wg0.ip", "\n".join([*own, *routes, ""]))
        return ["bash", "-c", START, "bash", settings, commands]

    def _settings(self) -> str:
        roster, host = self.place.roster, self.place.host
        lines = ["[Interface]", f"PrivateKey = {_base64(self._me.key.text)}"]
        lines.append(f"ListenPort = {self.settings['listen_port']}")
        for peer in roster.peers(host):
            lines += ["", "[Peer]", f"PublicKey = {_base64(peer.key.public)}"]
            lines.append(f"PresharedKey = {roster.preshared_key(host, peer.host)}")
            lines.append(f"AllowedIPs = {', '.join(peer.networks)}")
            lines += [f"Endpoint = {peer.endpoint}"] if peer.endpoint else []
        return "\n".join([*lines, ""])

    def event(self, line: str) -> Event | None:
        if line.startswith("{"):
            told: Any = json.loads(line)
            return dict(told)
        found = _HANDSHAKE.search(line)
        if found is None:
            return None
        for peer in self.place.roster.peers(self.place.host):
            text = _base64(peer.key.public)
            if text.startswith(found[1]) and text[:-1].endswith(found[2]):
                return {"event": "handshake", "peer": peer.host}
        return None

    @property
    def _me(self) -> Member:
        return self.place.roster.members[self.place.host]


def _base64(key: str) -> str:
    """A key as `wg` writes it."""
    return base64.b64encode(bytes.fromhex(key.partition(":")[2])).decode()
