"""Who is in a tailnet, and what each client is told: as much of Tailscale's tailcfg as a few need."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

USER = {"ID": 1, "LoginName": "somebody@tailnet.example", "DisplayName": "Somebody"}
EVERYTHING = {
    "SrcIPs": ["*"],
    "DstPorts": [{"IP": "*", "Ports": {"First": 0, "Last": 65535}}],
}

RELAYS = {  # every member may be a peer relay for every other
    "SrcIPs": ["*"],
    "CapGrant": [
        {
            "Dsts": ["0.0.0.0/0", "::/0"],
            "Caps": ["tailscale.com/cap/relay", "tailscale.com/cap/relay-target"],
        }
    ],
}


class Tailnet:
    """Clients that have come, and members that are none of Tailscale's, whom somebody describes.

    Each client has a thread of its own; whoever asks or tells anything holds `guard`.
    """

    def __init__(
        self,
        derp_map: Json,
        addresses: list[str],
        others: list[Json],
        homes: dict[str, int],
        told: Callable[[Json], None],
    ) -> None:
        """`homes`: regions by the addresses of those whose home they are to be. `told`: a client's news."""
        self.guard = threading.RLock()
        self._derp_map, self._addresses, self._homes = derp_map, addresses, homes
        self._members: dict[str, Json] = {each["Key"]: each for each in others}
        self._watchers: dict[str, Callable[[], None]] = {}
        self._told = told

    def register(self, request: Json, machine: bytes) -> Json:
        """Whoever asks is let in, with the next address."""
        key, host = request["NodeKey"], request["Hostinfo"]
        if key not in self._members:
            number = len(self._members) + 1
            self._members[key] = member(number, key, self._addresses.pop(0), host)
            self._members[key]["Machine"] = f"mkey:{machine.hex()}"
        return {
            "User": USER,
            "Login": {**USER, "Provider": "lab"},
            "MachineAuthorized": True,
        }

    def note(self, request: Json) -> None:
        """What a client says of itself; the others hear of it, and so do we."""
        me = self._members[request["NodeKey"]]
        me["DiscoKey"] = request["DiscoKey"]
        me["Endpoints"] = request.get("Endpoints") or []
        me["HomeDERP"] = _home(request) or me["HomeDERP"]
        me["Cap"] = request["Version"]
        self._told(me)
        for key, watch in self._watchers.items():
            if key != me["Key"]:
                watch()

    def watch(self, key: str, watch: Callable[[], None]) -> None:
        """`watch` is called, from any thread, when the map for this client is another one."""
        self._watchers[key] = watch

    def map_for(self, key: str) -> Json:
        me = self._members[key]
        return {
            "Node": me,
            "Peers": [each for each in self._members.values() if each["Key"] != key],
            "DERPMap": self._derp_map | self._at_home(me),
            "Domain": "tailnet.example",
            "PacketFilter": [EVERYTHING, RELAYS],
            "UserProfiles": [USER],
            "CollectServices": False,
        }

    def _at_home(self, me: Json) -> Json:
        """As if that region were much nearer; when it is gone the client may still leave."""
        region = self._homes.get(me["Addresses"][0].removesuffix("/32"))
        return {"HomeParams": {"RegionScore": {str(region): 0.1}}} if region else {}


def member(number: int, key: str, address: str, host: Json) -> Json:
    return {
        "ID": number,
        "StableID": f"n{number}",
        "Name": f"{host['Hostname']}.tailnet.example.",
        "User": USER["ID"],
        "Key": key,
        "Addresses": [f"{address}/32"],
        "AllowedIPs": [f"{address}/32"],
        "HomeDERP": 0,
        "Cap": 0,
        "MachineAuthorized": True,
        "Online": True,
        "Hostinfo": host,
    }


def _home(request: Json) -> int:
    home: int = request["Hostinfo"].get("NetInfo", {}).get("PreferredDERP", 0)
    return home
