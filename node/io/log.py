"""What changed and why, a line each, on stderr: for people who look at a node's log.

    node: node-b: direct via 203.0.113.20:41641 (pong from 203.0.113.20:41641 in 20.3 ms)
    node: relay nyc: lost (it closed)

Everything here is in the events as well; a key is in neither.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


def tell(event: str, fields: Mapping[str, Any]) -> None:
    line = line_of(event, fields)
    if line is not None:
        print(f"node: {line}", file=sys.stderr, flush=True)


def line_of(event: str, fields: Mapping[str, Any]) -> str | None:
    match event:
        case "ready":
            return f"ready as {', '.join(fields['addresses'])} on UDP port {fields['listen_port']}"
        case "path" if fields["kind"] == "none":
            return f"{fields['peer']}: no path ({fields['why']})"
        case "path":
            return f"{fields['peer']}: {fields['kind']} via {fields['via']} ({fields['why']})"
        case "relay_connected":
            return f"relay {fields['region']}: connected to {fields['server']}"
        case "relay_lost":
            return f"relay {fields['region']}: lost ({fields['why']})"
        case "endpoints":
            return f"our endpoints: {', '.join(fields['endpoints']) or 'none'}"
        case "netcheck":
            udp = "works" if fields["udp"] else "does not work"
            return f"netcheck: UDP {udp}, nearest relay {fields['preferred'] or 'unknown'}"
        case "netmap":
            peers, regions = ", ".join(fields["peers"]), ", ".join(fields["regions"])
            return f"netmap read again: peers {peers or 'none'}; relays {regions or 'none'}"
        case "netmap_refused":
            return f"the netmap stays as it was ({fields['why']})"
        case "port_mapping":
            return f"port mapping: {fields['external'] or 'none'}{_because(fields)}"
        case "stopped":
            return "stopped"
    return None


def _because(fields: Mapping[str, Any]) -> str:
    words = [f"by {fields['protocol']}" if fields.get("protocol") else "", fields.get("why") or ""]
    text = ", ".join(word for word in words if word)
    return f" ({text})" if text else ""
