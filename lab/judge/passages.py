"""A host's flows, followed outwards from router to router: what each shows it as, what came back. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network

from lab.judge.situation import Flow, Situation
from lab.model.cuts import seen


@dataclass(frozen=True, slots=True)
class Passage:
    protocol: str
    inside: str  # the host's own endpoint
    to: str
    outside: str  # as the last router shows it
    last: str  # that router
    sent: int  # packets that it let out
    answered: int  # packets that came back to the host
    is_answered: bool


def passages(now: Situation, end: str) -> Iterator[Passage]:
    """Those that begin at the host; a router without rules remembers nothing, and changes nothing."""
    own = now.addresses(end)
    remembering = [router.name for router in now.way(end) if now.flows.get(router.name)]
    for flow in now.flows[remembering[0]] if remembering else ():
        if address_of(flow.source) not in own:
            continue
        first = Passage(
            flow.protocol,
            flow.source,
            flow.to,
            flow.outside,
            remembering[0],
            flow.sent,
            flow.answered,
            flow.is_answered,
        )
        yield _further(now, first, remembering[1:])


def _further(now: Situation, passage: Passage, routers: list[str]) -> Passage:
    for router in routers:
        known = (each for each in now.flows[router] if _is(each, passage))
        flow = next(known, None)
        if flow is None:
            return passage
        passage = replace(passage, outside=flow.outside, last=router, sent=flow.sent)
    return passage


def _is(flow: Flow, passage: Passage) -> bool:
    there = (passage.protocol, passage.outside, passage.to)
    return (flow.protocol, flow.source, flow.to) == there


def towards(now: Situation, end: str) -> list[Passage]:
    """Its UDP to the other end: to wherever packets for that one may go to, as this one sees it."""
    there = seen(now.plan, now.other(end), by=end)
    udp = (each for each in passages(now, end) if each.protocol == "udp")
    return [each for each in udp if owner(there, each.to) is not None]


def elsewhere(now: Situation, end: str) -> list[tuple[str, Passage]]:
    """(who, flow): its UDP that a third machine on the internet answers, as a STUN server does.

    First what it is seen as where it has told of it.
    """
    relays = [each.name for each in now.topology.relays]
    hosts = [each.name for each in now.topology.hosts if not each.on and each.name not in now.ends]
    names = {a: name for name in (*relays, *hosts) for a in now.addresses(name)}
    found = [
        (names[address_of(each.to)], each)
        for each in passages(now, end)
        if each.protocol == "udp" and each.is_answered and address_of(each.to) in names
    ]
    return sorted(found, key=lambda each: each[1].outside not in now.endpoints.get(end, ()))


def owner(there: Mapping[str, str], endpoint: str) -> str | None:
    """Whose address that is; None: it is not among these."""
    address = address_of(endpoint)
    if address in there:
        return there[address]
    networks = ((ip_network(text), name) for text, name in there.items() if "/" in text)
    return next((name for network, name in networks if ip_address(address) in network), None)


def address_of(endpoint: str) -> str:
    """`203.0.113.10:41641` and `[2001:db8::1]:41641` without their ports."""
    return endpoint.rpartition(":")[0].strip("[]")
