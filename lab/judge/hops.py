"""The way from the one host to the other, machine by machine, with what each does. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from lab.judge.behaviour import in_words
from lab.judge.situation import Situation
from lab.judge.words import mapping_in_words
from lab.model.explanation import Hop
from lab.model.live import nat_words
from lab.model.network import INTERNET, Router


def hops(now: Situation) -> Iterator[Hop]:
    """From the one host to the other; a router that is on both ways is where they meet."""
    here, there = now.way(now.a), now.way(now.b)
    common = [router for router in here if router in there]
    yield _host(now, now.a)
    yield from (_router(now, each) for each in here if each not in common)
    yield _router(now, common[0]) if common else Hop(INTERNET, "internet", (), ())
    yield from (_router(now, each) for each in reversed(there) if each not in common)
    yield _host(now, now.b)


def _host(now: Situation, name: str) -> Hop:
    daemon = now.daemons.get(name)
    runs = f"{daemon.runs} {daemon.state}" if daemon else "no daemon"
    told = now.endpoints.get(name, ())
    advertises = (f"advertises {', '.join(told)}",) if told else ()
    return Hop(name, "host", (now.address(name),), (runs, *advertises))


def _router(now: Situation, router: Router) -> Hop:
    plan = now.plan.machine(router.name)
    wan = tuple(each.partition("/")[0] for each in plan.interfaces[0].addresses)
    words = [nat_words(now.topology, router.name)] if router.ipv4 else []
    words += [mapping_in_words(router.nat)] if router.ipv4 else []
    words += [f"IPv6: {router.ipv6}"] if router.ipv6 else []
    words += [f"maps ports on request: {', '.join(router.port_mapping)}"] * bool(
        router.port_mapping
    )
    words += in_words(now, router)
    addresses = tuple(each for each in wan if not each.startswith("fe80:"))
    return Hop(router.name, "router", addresses, tuple(words))
