"""A lab is asked all that an explanation of one pair needs; nothing is sent and nothing changes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, replace
from subprocess import DEVNULL, PIPE, TimeoutExpired

from lab.ask import ask
from lab.client import Lab
from lab.errors import BadRequest
from lab.judge.judged import Judged, judge_all
from lab.judge.situation import DaemonNow, Drop, Flow, Json, PathNow, Pinged, Situation
from lab.model.errors import nearest
from lab.model.network import Topology

PATIENCE = 20.0  # seconds for a daemon's answer: who asks it has to start, on a very busy machine


def gather(lab: Lab, a: str, b: str, measuring: Callable[[str], None] | None = None) -> Situation:
    """BadRequest if the two are not two hosts of this lab.

    `measuring`: the routers on the way are measured too, each told of first. That sends packets through them,
    so it comes last, after all has been counted.
    """
    topology = lab.topology()
    check_pair(topology, lab.name, a, b)
    status, events = lab.status(), list(lab.events())
    routers = _routers(topology, a, b)
    counted = ask(lab.folder, "counted", routers=routers)["routers"]
    now = Situation(
        lab=lab.name,
        a=a,
        b=b,
        now=time.monotonic(),
        topology=topology,
        plan=lab.plan(),
        paths={one: _path(status["paths"], events, one, other) for one, other in ((a, b), (b, a))},
        daemons=_daemons(status["hosts"]),
        endpoints={host: _endpoints(events, host) for host in (a, b)},
        links=lab.links(),
        cuts=lab.cuts(),
        flows={
            router: _flows(each["flows"])
            for router, each in counted.items()
            if each["flows"] is not None
        },
        uncounted={
            router: each["problem"] for router, each in counted.items() if "problem" in each
        },
        drops={router: [Drop(**one) for one in each["drops"]] for router, each in counted.items()},
        pings=dict(told_pings(lab, a, b)),
    )
    return (
        now if measuring is None else replace(now, measured=_measured(lab, now, routers, measuring))
    )


def _measured(
    lab: Lab, now: Situation, routers: Iterable[str], measuring: Callable[[str], None]
) -> dict[str, Judged]:
    found = {}
    for name in routers:
        measuring(name)
        found[name] = judge_all(lab, now.topology.router(name))[0]  # where there is IPv4, by that
    return found


def check_pair(topology: Topology, lab: str, a: str, b: str) -> None:
    hosts = [host.name for host in topology.hosts]
    for name in (a, b):
        if name in hosts:
            continue
        if name in topology.names:
            kind = "a router" if name in [each.name for each in topology.routers] else "a relay"
            raise BadRequest(f"{name} is {kind}: a path is between two hosts", nearest(name, hosts))
        raise BadRequest(f"{lab} has no host {name}", nearest(name, hosts))
    if a == b:
        raise BadRequest(f"{a} is one host: a path is between two")


def _routers(topology: Topology, a: str, b: str) -> list[str]:
    ways = [topology.way_up(router) for host in (a, b) for router in topology.host(host).on]
    return list(dict.fromkeys(router.name for way in ways for router in way))


def _flows(flows: Iterable[Json]) -> list[Flow]:
    words = [each.name for each in fields(Flow)]
    return [Flow(**{word: flow[word] for word in words}) for flow in flows]


def told_pings(lab: Lab, a: str, b: str) -> Iterator[tuple[str, list[Pinged]]]:
    """By end; one that cannot be asked, or does not answer, is left out."""
    asked = {}
    for end in (a, b):
        if argv := ask(lab.folder, "status_argv", host=end)["argv"]:
            asked[end] = lab.popen(end, argv, stdout=PIPE, stderr=DEVNULL, text=True)
    for end, process in asked.items():
        try:
            out, _ = process.communicate(timeout=PATIENCE)
            told = json.loads(out)["peers"]
        except (TimeoutExpired, ValueError, KeyError):
            process.kill()
            process.wait()
            continue
        peer: Json = next((each for each in told if each["name"] == (b if end == a else a)), {})
        yield end, [_pinged(each) for each in peer.get("candidates", ())]


def _pinged(told: Json) -> Pinged:
    return Pinged(
        endpoint=told["endpoint"],
        sent=told["pings_sent"],
        pongs=told["pongs"],
        received=told["pings_received"],
        last=told.get("last_ping_age"),
        last_pong=told.get("last_pong_age"),
    )


def _path(paths: Iterable[Json], events: Iterable[Json], one: str, other: str) -> PathNow:
    now = next((each for each in paths if (each["from"], each["to"]) == (one, other)), None)
    if now is None:
        return PathNow()
    last: Json = {}
    since = None
    for event in events:
        if (event["event"], event["host"], event.get("peer")) == ("path", one, other):
            since = event["at"] if event["kind"] != last.get("kind") else since
            last = event
    return PathNow(now["kind"], now["via"], since, last.get("why"))


def _daemons(hosts: Iterable[Json]) -> dict[str, DaemonNow]:
    return {
        host["name"]: DaemonNow(host["daemon"]["name"], host["daemon"]["state"])
        for host in hosts
        if host["daemon"]
    }


def _endpoints(events: Iterable[Json], host: str) -> tuple[str, ...]:
    told = [each for each in events if (each["event"], each["host"]) == ("endpoints", host)]
    return tuple(told[-1].get("endpoints", ())) if told else ()
