"""The log for people: what changed, why, and never a key."""

from __future__ import annotations

from typing import Any

import pytest

from node.io.log import line_of

KEY = "nodekey:" + "0a" * 32


@pytest.mark.parametrize(
    ("event", "fields", "line"),
    [
        (
            "path",
            {"peer": "b", "kind": "direct", "via": "203.0.113.20:1", "rtt_ms": 2.0, "why": "pong"},
            "b: direct via 203.0.113.20:1 (pong)",
        ),
        (
            "path",
            {"peer": "b", "kind": "none", "via": "", "rtt_ms": None, "why": "not in netmap"},
            "b: no path (not in netmap)",
        ),
        ("relay_lost", {"region": "nyc", "why": "it closed"}, "relay nyc: lost (it closed)"),
        (
            "relay_connected",
            {"region": "nyc", "server": "nyc.derp.example"},
            "relay nyc: connected to nyc.derp.example",
        ),
        ("endpoints", {"endpoints": []}, "our endpoints: none"),
        (
            "netcheck",
            {"udp": False, "preferred": None},
            "netcheck: UDP does not work, nearest relay unknown",
        ),
        (
            "port_mapping",
            {"protocol": "pcp", "external": None, "why": "refused"},
            "port mapping: none (by pcp, refused)",
        ),
        (
            "netmap",
            {"peers": ["b", "c"], "regions": []},
            "netmap read again: peers b, c; relays none",
        ),
        (
            "netmap_refused",
            {"why": "netmap: name: is missing"},
            "the netmap stays as it was (netmap: name: is missing)",
        ),
        (
            "ready",
            {"addresses": ["100.64.1.10"], "node_key": KEY, "disco_key": KEY, "listen_port": 7},
            "ready as 100.64.1.10 on UDP port 7",
        ),
        ("stopped", {}, "stopped"),
        ("call_me_maybe", {"peer": "b", "direction": "sent"}, None),
    ],
)
def test_an_event_is_a_line_or_none(event: str, fields: dict[str, Any], line: str | None) -> None:
    assert line_of(event, fields) == line
