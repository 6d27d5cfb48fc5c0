"""The path to expect of a pair, whatever its two daemons are. Pure.

Two nodes follow the verdict's rules. Plain WireGuard knows no relay and no discovery: it is met only by who
knows its endpoint, or knows an endpoint itself; and the lab tells only those of hosts on the internet.
Of a daemon that the lab does not know, the verdict says what it gets if it punches as ICE does.
"""

from __future__ import annotations

from dataclasses import replace

from lab.judge.situation import NODE, PLAIN_WIREGUARD, Situation
from lab.model.explanation import Expected
from lab.model.network import Router, Topology
from lab.model.verdict import expect


def expected_of(now: Situation) -> Expected:
    runs = {now.runs(end) for end in now.ends}
    if PLAIN_WIREGUARD in runs:
        return _between_plain(now)
    verdict = expect(as_they_ask(now), now.a, now.b)
    if now.are_nodes:
        path = verdict.path if verdict.path != "relay" or now.topology.relays else "none"
        return Expected(path, verdict.rule, verdict.reason)
    path = "direct" if verdict.path == "direct" else "none"
    reason = f"{verdict.reason}; so it is for who punches as ICE does"
    return Expected(path, verdict.rule, reason)


def as_they_ask(now: Situation) -> Topology:
    """Only of a node is it known that it asks its router for a port, and that it guesses the next one."""
    strangers = [end for end in now.ends if now.runs(end) not in (NODE, None)]
    silent = {router.name for end in strangers for router in now.way(end)}
    routers = (_unasked(each) if each.name in silent else each for each in now.topology.routers)
    return replace(now.topology, routers=tuple(routers))


def _unasked(router: Router) -> Router:
    """To who does not guess, ports in order are as good as random ones."""
    ports = "random" if router.nat.ports == "sequential" else router.nat.ports
    return replace(router, port_mapping=(), nat=replace(router.nat, ports=ports))


def _between_plain(now: Situation) -> Expected:
    for end in now.ends:
        blocker = next((router.name for router in now.way(end) if not router.nat.udp), None)
        if blocker is not None:
            return Expected("none", "R5", f"{blocker} lets no UDP out, and WireGuard is UDP alone")
    outside = [end for end in now.ends if not now.topology.host(end).on]
    if not outside:
        reason = f"neither {now.a} nor {now.b} is on the internet, so neither knows an endpoint of the other"
        return Expected("none", "", f"{reason}, and plain WireGuard has no discovery")
    first = now.other(outside[0])
    reason = (
        f"{first} knows the endpoint of {outside[0]}, which answers where it hears {first} from"
    )
    return Expected("direct", "D1", reason)
