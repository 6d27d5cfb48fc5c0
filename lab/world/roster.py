"""Who is in the mesh: the nodes with their keys, the relays, and the authority that certifies them.

Made when the lab is built and kept only in its folder: a plan has no secrets.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from nacl.bindings import crypto_scalarmult_base

from lab.model.plan import DaemonPlan
from lab.world.authority import Authority


@dataclass(frozen=True, slots=True)
class Secret:
    """A Curve25519 private key, in the clamped form of RFC 7748 §5."""

    raw: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Secret:
        raw = os.urandom(32)
        return cls(bytes([raw[0] & 248, *raw[1:31], (raw[31] & 127) | 64]))

    @property
    def text(self) -> str:
        return f"privkey:{self.raw.hex()}"

    @property
    def public(self) -> str:
        return f"nodekey:{crypto_scalarmult_base(self.raw).hex()}"


@dataclass(frozen=True, slots=True)
class Member:
    host: str
    key: Secret
    overlay: tuple[str, ...]
    region: int


@dataclass(frozen=True, slots=True)
class Relay:
    host: str
    hostname: str
    region_id: int
    region_code: str
    stun_port: int
    derp_port: int


@dataclass(frozen=True, slots=True)
class Roster:
    members: dict[str, Member]
    relays: dict[str, Relay]
    authority: Authority

    def netmap(self, host: str) -> dict[str, Any]:
        """What the node on `host` is told: itself, the others, the relays."""
        me = self.members[host]
        peers = [self._peer(each) for each in self.members.values() if each is not me]
        return {
            "name": host,
            "addresses": list(me.overlay),
            "peers": peers,
            "derp_map": {"Regions": self._regions()},
        }

    def _peer(self, member: Member) -> dict[str, Any]:
        return {
            "name": member.host,
            "node_key": member.key.public,
            "addresses": list(member.overlay),
            "allowed_ips": [
                f"{address}/{128 if ':' in address else 32}" for address in member.overlay
            ],
            "home_region": member.region,
            "disco_key": None,
            "endpoints": [],
        }

    def _regions(self) -> dict[str, Any]:
        regions: dict[str, Any] = {}
        for relay in self.relays.values():
            region = regions.setdefault(
                str(relay.region_id),
                {
                    "RegionID": relay.region_id,
                    "RegionCode": relay.region_code,
                    "RegionName": relay.region_code,
                    "Nodes": [],
                },
            )
            nodes = region["Nodes"]
            nodes.append(
                {
                    "Name": f"{relay.region_id}{chr(ord('a') + len(nodes))}",
                    "RegionID": relay.region_id,
                    "HostName": relay.hostname,
                    "STUNPort": relay.stun_port,
                    "DERPPort": relay.derp_port,
                }
            )
        return regions


def roster_of(daemons: Iterable[DaemonPlan]) -> Roster:
    members: dict[str, Member] = {}
    relays: dict[str, Relay] = {}
    for daemon in daemons:
        words: dict[str, Any] = daemon.settings
        if daemon.runs == "derper":
            relays[daemon.host] = Relay(
                daemon.host,
                words["hostname"],
                words["region_id"],
                words["region_code"],
                words.get("stun_port", 3478),
                words.get("derp_port", 443),
            )
        elif words.get("overlay"):
            overlay = tuple(address.partition("/")[0] for address in words["overlay"])
            region = words.get("region") or 0
            members[daemon.host] = Member(daemon.host, Secret.new(), overlay, region)
    return Roster(members, relays, Authority())
