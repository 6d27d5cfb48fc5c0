"""The netmap: who is in the mesh, and which relays there are. One JSON file, replaced at will.

    {"name": "node-a", "addresses": ["100.64.1.10"], "mtu": 1280,
     "peers": [{"name": "node-b", "node_key": "nodekey:...", "addresses": ["100.64.2.20"],
                "allowed_ips": ["100.64.2.20/32"], "home_region": 900,
                "disco_key": null, "endpoints": ["203.0.113.20:41641"]}],
     "derp_map": {"Regions": {"900": {"RegionID": 900, "RegionCode": "nyc", "RegionName": "nyc",
        "Nodes": [{"Name": "900a", "RegionID": 900, "HostName": "nyc.derp.example"}]}}}}

`mtu`, `disco_key` and `endpoints` may be left out. A peer whose `home_region` is 0 is plain WireGuard,
found at its endpoints or where it was last heard; it may have a `preshared_key` (base64, as `wg genpsk`
writes it) and a `persistent_keepalive` (seconds). `"peer_relay": true` marks a peer that passes datagrams
on between two that cannot meet; at the top it says that this node does.

The relay map has the field names of the public DERP map JSON; there the word "none" turns an address
family off. A person writes this file, so every error names the key and the problem.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar, TypeVar

from msgspec import Struct

from node.keys import KEY_SIZE, BadKey, DiscoPublic, NodePublic
from node.veiled import Veiled
from node.wire.endpoint import Endpoint, parse_endpoint
from node.wire.malformed import Malformed

T = TypeVar("T")

MTU = 1280  # what every path carries once WireGuard's 80 bytes (over IPv6) are added
MTU_RANGE = range(576, 65536)
KEEPALIVE_RANGE = range(1 << 16)  # seconds; 0: none


class NetmapError(ValueError):
    """One line for the person who wrote the file: where in it, and what is wrong there."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"netmap: {key}: {problem}" if key else f"netmap: {problem}")
        self.key, self.problem = key, problem


class DerpNode(Struct, frozen=True):
    """One relay server of a region, and how it is reached."""

    name: str
    region_id: int
    host_name: str
    ipv4: str | None = None  # None: ask the resolver; "none": the family is off
    ipv6: str | None = None
    stun_port: int = 3478  # -1: no STUN here
    derp_port: int = 443
    cert_name: str | None = None
    stun_only: bool = False
    insecure_for_tests: bool = False


class DerpRegion(Struct, frozen=True):
    """Relay servers that stand for one another; people know it by its code."""

    region_id: int
    region_code: str
    nodes: tuple[DerpNode, ...]


class Peer(Veiled, frozen=True):
    """Another node, as the netmap lists it."""

    veiled: ClassVar = ("preshared_key",)
    name: str
    node_key: NodePublic
    disco_key: DiscoPublic | None
    addresses: tuple[str, ...]
    allowed_ips: tuple[str, ...]
    home_region: int
    endpoints: tuple[Endpoint, ...] = ()
    preshared_key: bytes = bytes(KEY_SIZE)
    persistent_keepalive: float | None = None
    peer_relay: bool = False  # it passes datagrams on for others


class Netmap(Struct, frozen=True):
    """Who is there: ourselves, our peers, the relays."""

    name: str
    addresses: tuple[str, ...]
    peers: tuple[Peer, ...]
    regions: Mapping[int, DerpRegion]
    mtu: int = MTU
    home_region: int | None = None  # where the others look for us
    peer_relay: bool = False  # we do so


def parse_netmap(text: str) -> Netmap:
    try:
        root = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NetmapError("", f"not JSON: {error}") from None
    top = _Table(root, "")
    netmap = Netmap(
        name=top.text("name"),
        addresses=top.each("addresses", _address),
        peers=top.each("peers", _peer),
        regions=_regions(top.table("derp_map").table("Regions")),
        mtu=top.number("mtu", MTU_RANGE, MTU),
        home_region=top.value("home_region", _region, None),
        peer_relay=top.flag("peer_relay"),
    )
    _check_names_are_unique(netmap)
    return netmap


def _check_names_are_unique(netmap: Netmap) -> None:
    seen: dict[object, str] = {}
    for index, peer in enumerate(netmap.peers):
        for word, value in (("name", peer.name), ("node_key", peer.node_key)):
            if value in seen:
                raise NetmapError(f"peers[{index}].{word}", f"the same as {seen[value]}'s")
            seen[value] = peer.name
    for index, peer in enumerate(netmap.peers):
        for network in peer.allowed_ips:
            if network in seen:
                raise NetmapError(
                    f"peers[{index}].allowed_ips", f"{network} is {seen[network]}'s already"
                )
            seen[network] = peer.name


def _peer(value: Any, key: str) -> Peer:
    peer = _Table(value, key)
    return Peer(
        name=peer.text("name"),
        node_key=peer.value("node_key", _key_of(NodePublic.parse)),
        disco_key=peer.value("disco_key", _key_of(DiscoPublic.parse), None),
        addresses=peer.each("addresses", _address),
        allowed_ips=peer.each("allowed_ips", _network),
        home_region=peer.number("home_region", range(1 << 16)),
        endpoints=peer.each("endpoints", _endpoint, optional=True),
        preshared_key=peer.value("preshared_key", _preshared_key, bytes(KEY_SIZE)),
        peer_relay=peer.flag("peer_relay"),
        persistent_keepalive=peer.number("persistent_keepalive", KEEPALIVE_RANGE, 0) or None,
    )


def _regions(table: _Table) -> dict[int, DerpRegion]:
    regions = {}
    for word in table.raw:
        region = table.table(word)
        number = region.number("RegionID", range(1, 1 << 16))
        if str(number) != word:
            raise NetmapError(f"{region.key}.RegionID", f"{number} stands under the name {word!r}")
        nodes = region.each("Nodes", _derp_node)
        for index, node in enumerate(nodes):
            if node.region_id != number:
                key = f"{region.key}.Nodes[{index}].RegionID"
                raise NetmapError(key, f"{node.region_id} in region {number}")
        code = region.text("RegionCode")
        regions[number] = DerpRegion(
            region_id=number,
            region_code=code,
            nodes=nodes,
        )
    return regions


def _derp_node(value: Any, key: str) -> DerpNode:
    node = _Table(value, key)
    return DerpNode(
        name=node.text("Name"),
        region_id=node.number("RegionID", range(1, 1 << 16)),
        host_name=node.text("HostName"),
        ipv4=node.value("IPv4", _family_address, None),
        ipv6=node.value("IPv6", _family_address, None),
        stun_port=node.number("STUNPort", range(-1, 1 << 16), 0) or 3478,
        derp_port=node.number("DERPPort", range(1 << 16), 0) or 443,
        cert_name=node.value("CertName", _text, None),
        stun_only=node.flag("STUNOnly"),
        insecure_for_tests=node.flag("InsecureForTests"),
    )


_MISSING: Any = object()


class _Table:
    """A JSON object that knows where in the file it stands."""

    def __init__(self, value: Any, key: str) -> None:
        if not isinstance(value, dict):
            raise NetmapError(key, f"expected an object, not {_kind(value)}")
        self.raw: dict[str, Any] = value
        self.key = key

    def value(self, word: str, parse: Callable[[Any, str], T], default: T = _MISSING) -> T:
        """The member `word`; a missing one or `null` is the default, if there is any."""
        found = self.raw.get(word)
        if found is None:
            if default is _MISSING:
                raise NetmapError(self._at(word), "is missing")
            return default
        return parse(found, self._at(word))

    def table(self, word: str) -> _Table:
        return self.value(word, _Table)

    def text(self, word: str, default: str = _MISSING) -> str:
        return self.value(word, _text, default)

    def flag(self, word: str) -> bool:
        return self.value(word, _flag, False)

    def number(self, word: str, within: range, default: int = _MISSING) -> int:
        return self.value(word, lambda found, key: _number(found, key, within), default)

    def each(
        self, word: str, parse: Callable[[Any, str], T], optional: bool = False
    ) -> tuple[T, ...]:
        items = self.value(word, _list, [] if optional else _MISSING)
        return tuple(parse(item, f"{self._at(word)}[{i}]") for i, item in enumerate(items))

    def _at(self, word: str) -> str:
        return f"{self.key}.{word}" if self.key else word


def _kind(value: Any) -> str:
    words = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return "null" if value is None else words.get(type(value), "a number")


def _list(value: Any, key: str) -> list[Any]:
    if not isinstance(value, list):
        raise NetmapError(key, f"expected a list, not {_kind(value)}")
    return value


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str):
        raise NetmapError(key, f"expected a text, not {_kind(value)}")
    if not value:
        raise NetmapError(key, "is empty")
    return value


def _region(value: Any, key: str) -> int:
    return _number(value, key, range(1, 1 << 16))


def _flag(value: Any, key: str) -> bool:
    if not isinstance(value, bool):
        raise NetmapError(key, f"expected true or false, not {_kind(value)}")
    return value


def _number(value: Any, key: str, within: range) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise NetmapError(key, f"expected a whole number, not {_kind(value)}")
    if value not in within:
        raise NetmapError(key, f"{value} is not within {within.start} .. {within.stop - 1}")
    return value


def _address(value: Any, key: str) -> str:
    text = _text(value, key)
    try:
        return str(ip_address(text))
    except ValueError:
        raise NetmapError(key, f"{text!r} is not an IP address") from None


def _family_address(value: Any, key: str) -> str:
    return "none" if value == "none" else _address(value, key)


def _network(value: Any, key: str) -> str:
    text = _text(value, key)
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise NetmapError(key, f"{text!r} is not a network: {error}") from None


def _endpoint(value: Any, key: str) -> Endpoint:
    try:
        return parse_endpoint(_text(value, key))
    except Malformed:
        raise NetmapError(key, f"{value!r} is not ADDRESS:PORT") from None


def _preshared_key(value: Any, key: str) -> bytes:
    try:
        raw = base64.b64decode(_text(value, key), validate=True)
    except ValueError:
        raw = b""
    if len(raw) != KEY_SIZE:
        raise NetmapError(key, "is not 32 bytes in base64")  # and never shown: it is a secret
    return raw


def _key_of(parse: Callable[[str], T]) -> Callable[[Any, str], T]:
    def parse_key(value: Any, key: str) -> T:
        try:
            return parse(_text(value, key))
        except BadKey as error:
            raise NetmapError(key, str(error)) from None

    return parse_key
