"""Who is in the mesh: the nodes with their keys, the relays, and the authority that certifies them.

Made when the lab is built and kept only in its folder: a plan has no secrets. A member without a home
region is plain WireGuard: it knows neither relays nor discovery, so the others are told its endpoint
if it is on the internet, and each of them shares a preshared key with it.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, field
from hashlib import blake2s
from typing import Any

from nacl.bindings import crypto_scalarmult_base

from lab.model.network import INTERNET
from lab.model.plan import Plan
from lab.world.authority import Authority

DERP_PORT, STUN_PORT = 443, 3478  # where our relay listens unless it is told otherwise


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
    region: int  # 0: plain WireGuard
    endpoint: str | None = None  # of a host on the internet
    peer_relay: bool = False

    @property
    def networks(self) -> list[str]:
        return [f"{each}/{128 if ':' in each else 32}" for each in self.overlay]


@dataclass(frozen=True, slots=True)
class Relay:
    host: str
    hostname: str
    region_id: int
    region_code: str
    stun_port: int = STUN_PORT


@dataclass(frozen=True, slots=True)
class Roster:
    members: dict[str, Member]
    relays: dict[str, Relay]
    authority: Authority
    _secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)

    def peers(self, host: str) -> list[Member]:
        return [each for each in self.members.values() if each.host != host]

    def preshared_key(self, one: str, other: str) -> str | None:
        """As `wg` writes it; None between two nodes, which have none."""
        if all(self.members[each].region for each in (one, other)):
            return None
        pair = " ".join(sorted((one, other))).encode()
        return base64.b64encode(blake2s(pair, key=self._secret).digest()).decode()

    def netmap(self, host: str) -> dict[str, Any]:
        """What the node on `host` is told: itself, the others, the relays."""
        me = self.members[host]
        peers = [self._peer(each) | self._plain(host, each) for each in self.peers(host)]
        return {
            "name": host,
            "addresses": list(me.overlay),
            "home_region": me.region or None,
            "peers": peers,
            "peer_relay": me.peer_relay,
            "derp_map": {"Regions": self._regions()},
        }

    def _peer(self, member: Member) -> dict[str, Any]:
        return {
            "name": member.host,
            "node_key": member.key.public,
            "addresses": list(member.overlay),
            "allowed_ips": member.networks,
            "home_region": member.region,
            "disco_key": None,
            "peer_relay": member.peer_relay,
            "endpoints": [],
        }

    def _plain(self, host: str, peer: Member) -> dict[str, Any]:
        preshared = self.preshared_key(host, peer.host)
        if preshared is None or peer.region:
            return {}
        return {
            "preshared_key": preshared,
            "endpoints": [peer.endpoint] if peer.endpoint else [],
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
                    "DERPPort": DERP_PORT,
                }
            )
        return regions


def roster_of(plan: Plan) -> Roster:
    members: dict[str, Member] = {}
    relays: dict[str, Relay] = {}
    public = {wire.a[0] for wire in plan.wires if wire.b[0] == INTERNET}
    for daemon in plan.daemons:
        words: dict[str, Any] = daemon.settings
        if daemon.runs == "derper":
            relays[daemon.host] = Relay(
                daemon.host, words["hostname"], words["region_id"], words["region_code"]
            )
        elif words.get("overlay"):
            overlay = tuple(address.partition("/")[0] for address in words["overlay"])
            region = words.get("region") or 0
            endpoint = None
            if daemon.host in public and words.get("listen_port"):
                endpoint = _endpoint(plan.underlay[daemon.host], words["listen_port"])
            members[daemon.host] = Member(
                daemon.host,
                Secret.new(),
                overlay,
                region,
                endpoint,
                words.get("peer_relay", False),
            )
    return Roster(members, relays, Authority())


def _endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
