"""Requests to rtnetlink, byte for byte: rtnetlink(7), and what the kernel takes."""

from __future__ import annotations

import sys

import pytest

from lab.model.plan import Route
from lab.world import bodies

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="the bytes are those of x86, arm")

WORDS = {
    "a veth pair, its far end born elsewhere": (
        bodies.veth(("wan0", 2), ("home-a", 17), 77),
        "00000000 02000000 00000000 00000000"  # near index 2
        "0900 0300 77616e30 00000000"  # IFLA_IFNAME wan0
        "3c00 1200 0900 0100 76657468 00000000"  # IFLA_LINKINFO, kind veth
        "2c00 0200 2800 0100 00000000 11000000 00000000 00000000"  # the peer, index 17
        "0b00 0300 686f6d65 2d610000 0800 1c00 4d000000",  # home-a, IFLA_NET_NS_FD 77
    ),
    "names of one letter, which are elsewhere in the message too": (
        bodies.veth(("e", 1), ("f", 2), 3),
        "00000000 01000000 00000000 00000000 0600 0300 65000000"
        "3800 1200 0900 0100 76657468 00000000"
        "2800 0200 2400 0100 00000000 02000000 00000000 00000000"
        "0600 0300 66000000 0800 1c00 03000000",
    ),
    "a port of a bridge, up": (
        bodies.link(5, True, 1280, 4),
        "00000000 05000000 01000000 01000000 0800 0400 00050000 0800 0a00 04000000",
    ),
    "a link, down": (
        bodies.link(5, False, None, None),
        "00000000 05000000 00000000 01000000",
    ),
    "an IPv4 address": (
        bodies.address(9, "10.1.2.3/24"),
        "02 18 00 00 09000000 0800 0200 0a010203 0800 0100 0a010203",
    ),
    "an IPv6 address, without a search for duplicates": (
        bodies.address(9, "fd00::1/64"),
        "0a 40 00 00 09000000 1400 0100 fd000000000000000000000000000001 0800 0800 02000000",
    ),
    "a default route over a link that no address covers": (
        bodies.route(Route("default", "eth0", "10.0.0.1", onlink=True, metric=100), 300),
        "02 00 00 00 fe 04 00 01 040000000800 0400 2c010000 0800 0500 0a000001 0800 0600 64000000",
    ),
    "a route to a network on a link": (
        bodies.route(Route("2001:db8::/48", "eth0"), 3),
        "0a 30 00 00 fe 04 00 01 00000000"
        "0800 0400 03000000 1400 0100 20010db8000000000000000000000000",
    ),
}


@pytest.mark.parametrize("what", WORDS)
def test_what_is_said_in_bytes(what: str) -> None:
    body, expected = WORDS[what]
    assert body.hex() == "".join(expected.split())
