"""The netmap file: what it says, and one clear line for each thing that can be wrong in it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from node.keys import DiscoPublic, NodePublic
from node.netmap import DerpNode, NetmapError, parse_netmap
from node.wire.endpoint import Endpoint

KEY_B = "nodekey:" + "0b" * 32
KEY_C = "nodekey:" + "0c" * 32
DISCO_B = "discokey:" + "db" * 32

NETMAP: dict[str, Any] = {
    "name": "node-a",
    "addresses": ["100.64.1.10"],
    "mtu": 1280,
    "peers": [
        {
            "name": "node-b",
            "node_key": KEY_B,
            "addresses": ["100.64.2.20"],
            "allowed_ips": ["100.64.2.20/32"],
            "home_region": 900,
            "disco_key": None,
            "endpoints": [],
        }
    ],
    "derp_map": {
        "Regions": {
            "900": {
                "RegionID": 900,
                "RegionCode": "nyc",
                "RegionName": "nyc",
                "Nodes": [
                    {
                        "Name": "900a",
                        "RegionID": 900,
                        "HostName": "nyc.derp.example",
                        "STUNPort": 3478,
                        "DERPPort": 443,
                    }
                ],
            }
        }
    },
}


def test_a_netmap_says_who_is_there_and_where_the_relays_are() -> None:
    netmap = parse_netmap(json.dumps(NETMAP))
    assert (netmap.name, netmap.addresses, netmap.mtu) == ("node-a", ("100.64.1.10",), 1280)

    [peer] = netmap.peers
    assert peer.node_key == NodePublic.parse(KEY_B)
    assert (peer.disco_key, peer.endpoints, peer.home_region) == (None, (), 900)

    assert netmap.regions[900].region_code == "nyc"
    assert netmap.regions[900].nodes == (DerpNode("900a", 900, "nyc.derp.example"),)


def test_what_may_be_left_out_may_be_left_out() -> None:
    bare = copy.deepcopy(NETMAP)
    del bare["mtu"], bare["peers"][0]["disco_key"], bare["peers"][0]["endpoints"]
    assert parse_netmap(json.dumps(bare)) == parse_netmap(json.dumps(NETMAP))


def test_a_disco_key_and_endpoints_are_taken_when_known() -> None:
    known = copy.deepcopy(NETMAP)
    known["peers"][0]["disco_key"] = DISCO_B
    known["peers"][0]["endpoints"] = ["203.0.113.20:41641", "[2001:db8::9]:7"]
    [peer] = parse_netmap(json.dumps(known)).peers
    assert peer.disco_key == DiscoPublic.parse(DISCO_B)
    assert peer.endpoints == (Endpoint("203.0.113.20", 41641), Endpoint("2001:db8::9", 7))


def test_a_plain_wireguard_peer_has_a_preshared_key_and_perhaps_a_keepalive() -> None:
    plain = copy.deepcopy(NETMAP)
    plain["peers"][0] |= {
        "home_region": 0,
        "preshared_key": "Kysr" * 10 + "Kys=",
        "persistent_keepalive": 25,
    }
    [peer] = parse_netmap(json.dumps(plain)).peers
    assert (peer.preshared_key, peer.persistent_keepalive) == (b"+" * 32, 25)
    assert "+++" not in repr(peer)


def test_a_wrong_preshared_key_is_told_without_the_key() -> None:
    broken = copy.deepcopy(NETMAP)
    broken["peers"][0]["preshared_key"] = "S3CRET=="
    with pytest.raises(NetmapError, match="32 bytes in base64") as caught:
        parse_netmap(json.dumps(broken))
    assert "S3CRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "value", "key", "problem"),
    [
        ("name", 7, "name", "expected a text, not a number"),
        ("name", "", "name", "is empty"),
        ("addresses", ["100.64.1.300"], "addresses[0]", "'100.64.1.300' is not an IP address"),
        ("mtu", 100, "mtu", "100 is not within 576 .. 65535"),
        ("mtu", True, "mtu", "expected a whole number, not true or false"),
        ("peers", {}, "peers", "expected a list, not an object"),
        ("peers", ["x"], "peers[0]", "expected an object, not a text"),
        ("peers.0.name", None, "peers[0].name", "is missing"),
        ("peers.0.node_key", "nodekey:00", "peers[0].node_key", "'nodekey:' and 64 hex digits"),
        ("peers.0.disco_key", KEY_B, "peers[0].disco_key", "'discokey:' and 64 hex digits"),
        ("peers.0.allowed_ips", ["100.64.2.20/8"], "peers[0].allowed_ips[0]", "not a network"),
        ("peers.0.endpoints", ["x:1"], "peers[0].endpoints[0]", "'x:1' is not ADDRESS:PORT"),
        ("peers.0.home_region", -1, "peers[0].home_region", "-1 is not within 0 .. 65535"),
        ("derp_map", None, "derp_map", "is missing"),
        ("derp_map.Regions", None, "derp_map.Regions", "is missing"),
        (
            "derp_map.Regions.900.RegionID",
            901,
            "derp_map.Regions.900.RegionID",
            "901 stands under the name '900'",
        ),
        (
            "derp_map.Regions.900.Nodes.0.RegionID",
            901,
            "derp_map.Regions.900.Nodes[0].RegionID",
            "901 in region 900",
        ),
        (
            "derp_map.Regions.900.Nodes.0.IPv4",
            "nowhere",
            "derp_map.Regions.900.Nodes[0].IPv4",
            "not an IP address",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_place(
    path: str, value: Any, key: str, problem: str
) -> None:
    broken = copy.deepcopy(NETMAP)
    place: Any = broken
    *way, last = path.split(".")
    for word in way:
        place = place[int(word)] if isinstance(place, list) else place[word]
    place[last] = value

    with pytest.raises(NetmapError) as caught:
        parse_netmap(json.dumps(broken))
    assert caught.value.key == key
    assert problem in caught.value.problem


@pytest.mark.parametrize("text", ["", "{", "\x00", '{"name": ', '"\\ud800', "[" * 100_000])
def test_what_is_not_json_is_said_to_be_so(text: str) -> None:
    with pytest.raises(NetmapError, match="not JSON"):
        parse_netmap(text)


@pytest.mark.parametrize(
    ("word", "value", "problem"),
    [
        ("name", "node-b", "the same as node-b's"),
        ("node_key", KEY_B, "the same as node-b's"),
        ("allowed_ips", ["100.64.2.20/32"], "100.64.2.20/32 is node-b's already"),
    ],
)
def test_two_peers_never_share_what_tells_them_apart(word: str, value: Any, problem: str) -> None:
    twice = copy.deepcopy(NETMAP)
    other = dict(twice["peers"][0], name="node-c", node_key=KEY_C, allowed_ips=["100.64.3.30/32"])
    twice["peers"].append({**other, word: value})
    with pytest.raises(NetmapError, match=problem) as caught:
        parse_netmap(json.dumps(twice))
    assert caught.value.key == f"peers[1].{word}"
