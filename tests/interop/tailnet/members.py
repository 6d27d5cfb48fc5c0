"""Who is in a tailnet, and what each client is told: as much of Tailscale's tailcfg as a few need."""

from __future__ import annotations

import json
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
    """Clients that have come, and members that are none of Tailscale's, whom somebody describes."""

    def __init__(self, derp_map: Json, addresses: list[str], others: list[Json]) -> None:
        self._derp_map, self._addresses = derp_map, addresses
        self._members: dict[str, Json] = {each["Key"]: each for each in others}
        self._watchers: dict[str, Callable[[], None]] = {}
        self._guard = threading.Lock()

    def register(self, request: Json, machine: bytes) -> Json:
        """Whoever asks is let in, with the next address."""
        with self._guard:
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
        with self._guard:
            me = self._members[request["NodeKey"]]
            me["DiscoKey"] = request["DiscoKey"]
            me["Endpoints"] = request.get("Endpoints") or []
            me["HomeDERP"] = _home(request) or me["HomeDERP"]
            me["Cap"] = request["Version"]
            others = [watch for key, watch in self._watchers.items() if key != me["Key"]]
        print(json.dumps(me), flush=True)
        for watch in others:
            watch()

    def watch(self, key: str, watch: Callable[[], None]) -> None:
        """`watch` is called from any thread when the map for this client is another one."""
        with self._guard:
            self._watchers[key] = watch

    def map_for(self, key: str) -> Json:
        with self._guard:
            return {
                "Node": self._members[key],
                "Peers": [each for each in self._members.values() if each["Key"] != key],
                "DERPMap": self._derp_map,
                "Domain": "tailnet.example",
                "PacketFilter": [EVERYTHING, RELAYS],
                "UserProfiles": [USER],
                "CollectServices": False,
            }


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
