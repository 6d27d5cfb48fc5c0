"""Where a pair's path will settle, from the words of the routers on both ways.

Both ends ping the one endpoint of the other that a STUN server saw, or its address in the LAN; a ping
that comes in is answered to where it came from, and that source is adopted. So a path is direct if and
only if one of the two pings comes in. It does when every router on its way in admits it:

    filtering             admits a ping from A when B's own ping to A went
    endpoint-independent  anywhere: anybody may come in (D1)
    address-dependent     through the endpoint that A pings: B's mapping does not move (D2)
    ...-and-port-...      and to the endpoint that A pings from: A's mapping does not move either (D3),
                          or it moves to a port that A has told, because its NAT counts (D4)

A mapping *moves* when it depends on the destination. With `scope = "endpoint"` a router permits for
all mappings of the inside endpoint, so its own may move. Of a chain each router filters for itself, and
the mapping moves if one of them moves it. Otherwise the relay is the way: one side moves and the other
is too strict (R4), both move (R4b), no UDP at all (R5), or both are behind a router that does not let
them meet there (R6). A node on the internet that relays for others comes before that (P1).

Who calls matters behind one kind of router: a Linux that accepts what nobody inside has asked for. The
caller learns the called end's endpoint first (a call-me-maybe, by the relay), so its ping is there before
the other's has gone out; the router takes it for itself, and the kernel then keeps that flow's port from
the mapping: towards this caller it moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lab.model import nat64
from lab.model.family import Family, families
from lab.model.network import Router, Topology
from lab.model.words import Nat
from lab.model.words6 import WORDS6

Rule = Literal["LAN", "D1", "D2", "D3", "D4", "R4", "R4b", "R5", "R6", "R7", "R8", "P1"]

STRICTNESS = (
    "none",
    "endpoint-independent",
    "address-dependent",
    "address-and-port-dependent",
)
MOVING = ("address-dependent", "address-and-port-dependent")


@dataclass(frozen=True, slots=True)
class Verdict:
    path: Literal["direct", "peer-relay", "relay"]
    reason: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class Level:
    """One router on a way, by its name and words."""

    name: str
    nat: Nat
    pushed: bool = False  # by a ping that came uninvited, and took the mapping's port

    @property
    def moves(self) -> bool:
        return self.nat.mapping in MOVING or self.pushed

    @property
    def can_be_pushed(self) -> bool:
        takes_it = self.nat.unsolicited == "accept" and self.nat.collisions == "kernel"
        return takes_it and self.translates and not self.lets_anybody_in

    @property
    def translates(self) -> bool:
        return self.nat.mapping != "none"

    @property
    def lets_anybody_in(self) -> bool:
        return self.nat.filtering in ("none", "endpoint-independent")


@dataclass(frozen=True, slots=True)
class End:
    """A host and the routers on its way out, the innermost first."""

    host: str
    way: tuple[Level, ...] = ()
    # A port mapping (UPnP, NAT-PMP, PCP) lets anybody in at a port that does not move.
    port_mapped: bool = False
    # Behind a NAT64: it cannot write to an IPv4 endpoint, only answer to where a ping came from.
    only_answers: bool = False
    # Its mapping moves to the next port, and it knows: it tells a peer which ports come next.
    counts: bool = False

    @property
    def mover(self) -> Level | None:
        return next((level for level in self.way if level.moves and not self.port_mapped), None)

    @property
    def strictest(self) -> Level | None:
        """The router whose filter decides; None if anybody may come in."""
        strict = [level for level in self.way if not level.lets_anybody_in]
        if not strict or self.port_mapped:
            return None
        return max(strict, key=lambda level: STRICTNESS.index(level.nat.filtering))

    @property
    def blocker(self) -> Level | None:
        return next((level for level in self.way if not level.nat.udp), None)


def meet(a: End, b: End) -> Verdict:
    """Two ends without a router in common; a calls b."""
    b = _called(b, by=a)
    for end in (a, b):
        if (blocker := end.blocker) is not None:
            return Verdict("relay", f"{blocker.name} lets no UDP out", "R5")
    admitting = [(host, guest) for host, guest in ((a, b), (b, a)) if admits(host, guest)]
    for end in (a, b):
        if not admitting and end.only_answers:
            reason = f"{end.host} pings no IPv4 endpoint, and {_strictest(end)} lets in nobody else"
            return Verdict("relay", f"{reason} than who was pinged", "R8")
    if not admitting:
        return _relayed(a, b)
    return min((_direct(host, guest) for host, guest in admitting), key=lambda each: each.rule)


def _called(end: End, by: End) -> End:
    """After the caller's first ping, which comes from the endpoint that the called end is told."""
    if by.mover is not None or by.only_answers or end.port_mapped:
        return end
    way = [
        replace(level, pushed=True)
        if level.can_be_pushed and all(above.lets_anybody_in for above in end.way[place + 1 :])
        else level
        for place, level in enumerate(end.way)
    ]
    return replace(end, way=tuple(way))


def admits(host: End, guest: End) -> bool:
    """Whether the guest's ping to the host's learned endpoint passes every router on its way in."""
    if guest.only_answers:
        return False
    if host.port_mapped or host.only_answers:
        return host.strictest is None
    moved = False
    for level in host.way:
        own_moves = level.moves and level.nat.scope == "mapping"
        match level.nat.filtering:
            case "address-dependent" if moved or own_moves:
                return False
            case "address-and-port-dependent" if moved or own_moves:
                return False
            case "address-and-port-dependent" if guest.mover is not None:
                if not guest.counts or level.can_be_pushed:
                    return False
        moved = moved or level.moves
    return True


def expect(topology: Topology, a: str, b: str) -> Verdict:
    """The path between two hosts when a calls b. Both are nodes, so they ask a router that maps ports to."""
    verdicts = [
        verdict
        for family in families(topology)
        if (verdict := _expect_in(family, a, b)) is not None
    ]
    if not verdicts:
        reason = f"{a} and {b} have neither IPv4 nor IPv6 in common"
        return Verdict("relay", reason, "R7")
    direct = next((each for each in reversed(verdicts) if each.path == "direct"), None)
    return direct or _through_a_peer(topology, a, b) or verdicts[0]


def _through_a_peer(topology: Topology, a: str, b: str) -> Verdict | None:
    """A node on the internet that relays for others (P1) is reached by all who may send UDP."""
    for family in families(topology):
        ends = [end_in(family, host) for host in (a, b)]
        if any(end is None or end.blocker or end.only_answers for end in ends):
            continue
        for host in family.hosts:
            relay = end_in(family, host.name)
            if host.peer_relay and host.name not in (a, b) and relay is not None and not relay.way:
                return Verdict("peer-relay", f"{host.name} relays for {a} and {b}", "P1")
    return None


def _expect_in(family: Family, a: str, b: str) -> Verdict | None:
    """None where one of them has no address of that family."""
    one, other = end_in(family, a), end_in(family, b)
    if one is None or other is None:
        return None
    verdict = _between(one, other, _shared_lan(family, a, b))
    return replace(verdict, reason=f"IPv6: {verdict.reason}") if family.version == 6 else verdict


def _between(one: End, other: End, shared: str | None) -> Verdict:
    if shared is not None:
        return Verdict("direct", f"both are in the LAN of {shared}", "LAN")
    common = [level for level in one.way if level in other.way]
    if not common:
        return meet(one, other)
    below_one = _without(one, common)
    below_other = _without(other, common)
    if not any(level.translates for level in common):
        return meet(below_one, below_other)
    inside = _meet_inside(below_one, below_other, common[0])
    if inside is not None and inside.path == "direct":
        return inside
    return _meet_by_hairpin(one, other, common)


def end_in(family: Family, host: str) -> End | None:
    """By its first uplink of that family, which is its default route."""
    topology = family.topology
    machine = topology.host(host)
    if machine not in family.hosts:
        translator = nat64.router_of(topology, machine) if family.version == 4 else None
        if translator is None:
            return None
        way = tuple(Level(each.name, each.nat) for each in topology.way_up(translator.name))
        return End(host, way, only_answers=True)
    uplinks = family.uplinks(machine)
    routers = topology.way_up(uplinks[0]) if uplinks else []
    if family.version == 6:
        ways = ((each.name, each.ipv6) for each in routers)
        return End(host, tuple(Level(name, WORDS6[kind]) for name, kind in ways if kind))
    way = tuple(Level(router.name, router.nat) for router in routers)
    nats = [level for level in way if level.translates]
    # A router asks for an address that is public, so only a single NAT can map a port for anybody.
    mapped = len(nats) == 1 and bool(topology.router(nats[0].name).port_mapping)
    servers = [relay for relay in family.relays if relay.ipv4]
    counts = len(servers) > 1 and _counts(routers)
    return End(host, way, port_mapped=mapped, counts=counts)


def _counts(routers: Sequence[Router]) -> bool:
    """Whether from outside the ports of this way are seen to follow one another."""
    translating = [each for each in reversed(routers) if each.nat.mapping != "none"]
    deciding = next((each for each in translating if each.nat.ports != "preserve"), None)
    return (
        deciding is not None and deciding.nat.ports == "sequential" and len(deciding.addresses) < 2
    )


def _shared_lan(family: Family, a: str, b: str) -> str | None:
    hosts = {host.name: host for host in family.hosts}
    if a not in hosts or b not in hosts:
        return None
    theirs = family.uplinks(hosts[b])
    return next((router for router in family.uplinks(hosts[a]) if router in theirs), None)


def _without(end: End, common: Sequence[Level]) -> End:
    way = tuple(level for level in end.way if level not in common)
    counts = end.counts and not any(level.translates for level in common)
    return replace(end, way=way, port_mapped=False, counts=counts)


def _meet_inside(a: End, b: End, at: Level) -> Verdict | None:
    """Below a common NAT each knows the other by its own address, if no NAT hides that."""
    hidden = [end for end in (a, b) if any(level.translates for level in end.way)]
    if not hidden:
        return meet(a, b)
    if len(hidden) == 2 or a.blocker or b.blocker:
        return None
    seen = b if hidden[0] is a else a
    if seen.strictest is not None:
        return None
    reason = f"{hidden[0].host} reaches {seen.host} by its address inside {at.name}"
    return Verdict("direct", reason, "LAN")


def _meet_by_hairpin(a: End, b: End, common: Sequence[Level]) -> Verdict:
    """Their learned endpoints are both on the outermost NAT, and it alone can turn a packet round."""
    outermost = [level for level in common if level.translates][-1]
    for end in (a, b):
        if (blocker := end.blocker) is not None:
            return Verdict("relay", f"{blocker.name} lets no UDP out", "R5")
    if not outermost.nat.hairpin:
        reason = f"both are behind {outermost.name}, which does not hairpin"
        return Verdict("relay", reason, "R6")
    # It filters nothing that it turns round, but it still moves what it maps.
    passing = Nat(mapping=outermost.nat.mapping, filtering="endpoint-independent")
    turned = Level(outermost.name, passing)
    verdict = meet(_through(a, outermost, turned), _through(b, outermost, turned))
    return Verdict(verdict.path, f"{outermost.name} hairpins; {verdict.reason}", verdict.rule)


def _through(end: End, outermost: Level, turned: Level) -> End:
    way = end.way[: end.way.index(outermost)]
    return replace(end, way=(*way, turned), counts=False)


def _direct(host: End, guest: End) -> Verdict:
    strictest = host.strictest
    if strictest is None:
        if host.port_mapped:
            reason = f"a port mapping lets anybody in to {host.host}"
        elif host.way:
            reason = f"{host.way[-1].name} lets anybody in at the endpoint of {host.host}"
        else:
            reason = f"nothing is in front of {host.host}"
        return Verdict("direct", f"{reason}, so the ping of {guest.host} arrives", "D1")
    if strictest.nat.filtering == "address-dependent":
        reason = (
            f"{strictest.name} admits every port of an address that {host.host} has sent to, "
            f"so the ping of {guest.host} arrives"
        )
        return Verdict("direct", reason, "D2")
    if guest.mover is not None:
        reason = (
            f"{_mover(guest)} gives out one port after the other, so {guest.host} tells which come next, "
            f"and {host.host} pings them all"
        )
        return Verdict("direct", reason, "D4")
    reason = f"neither mapping moves as far as {strictest.name} can see, so each ping opens the way"
    return Verdict("direct", f"{reason} for the other's", "D3")


def _relayed(a: End, b: End) -> Verdict:
    movers = [end for end in (a, b) if end.mover is not None]
    if len(movers) == 2:
        reason = f"{_mover(a)} and {_mover(b)} both map anew for each other's endpoint"
        return Verdict("relay", f"{reason}, so no ping comes from where it is awaited", "R4b")
    [moving] = movers
    still = b if moving is a else a
    strict = still.strictest
    assert strict is not None  # who lets anybody in has admitted the other
    pushed = moving.mover is not None and moving.mover.pushed
    because = f"the first ping of {still.host} comes uninvited and takes the port, so "
    reason = (
        f"{because if pushed else ''}{_mover(moving)} sends from another port than the one that STUN saw, "
        f"and {strict.name} admits only the endpoint that {still.host} has sent to"
    )
    return Verdict("relay", reason, "R4")


def _strictest(end: End) -> str:
    return end.strictest.name if end.strictest else "nobody"


def _mover(end: End) -> str:
    assert end.mover is not None
    return end.mover.name
