"""Why a path is what it is, scenario by scenario, from values alone; and as people read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pytest

from lab.errors import BadRequest
from lab.judge.explain import explain
from lab.judge.gather import check_pair
from lab.judge.situation import DaemonNow, Flow, PathNow, Situation
from lab.model.explanation import Explanation
from lab.model.layout import plan_of
from lab.model.link import LinkQuality, Shape
from lab.model.topology import load
from lab.view.explained import text

A, B = "node-a", "node-b"
RELAYED = PathNow("relay", "nyc", since=100.0)
DIRECT = PathNow("direct", "203.0.113.20:41641", since=100.0)


def test_two_symmetric_nats_are_both_named() -> None:
    found = explain(situation("hard-pair", RELAYED))

    assert (found.expected.path, found.expected.rule, found.agrees) == ("relay", "R4b", True)
    assert causes(found) == [
        "home-a and home-b both map anew for each other's endpoint, "
        "so no ping comes from where it is awaited"
    ]
    assert [each.machine for each in found.hops] == [A, "home-a", "internet", "home-b", B]


def test_who_meets_by_a_peer_relay_is_told_why_not_without_it() -> None:
    found = explain(situation("peer-relay", PathNow("peer-relay", "192.0.2.10:41641:vni:1")))

    assert (found.expected.rule, found.agrees) == ("P1", True)
    assert [(each.weight, each.sentence) for each in found.findings] == [
        (
            "cause",
            "home-a and home-b both map anew for each other's endpoint, "
            "so no ping comes from where it is awaited",
        ),
        ("note", "node-c relays for node-a and node-b"),
    ]


def test_a_direct_path_blames_nobody() -> None:
    found = explain(situation("nat-pair", DIRECT))

    assert (found.expected.rule, found.agrees) == ("D3", True)
    assert causes(found) == []
    assert found.remedies == ()
    assert [each.weight for each in found.findings] == ["note"]


def test_a_direct_path_blames_nobody_even_where_things_are_bent() -> None:
    bent = situation("nat-pair", DIRECT, links=links(home_a={"mtu": 1300}))

    assert causes(explain(bent)) == []


def test_what_a_direct_path_has_not_noticed_yet_is_told() -> None:
    found = explain(changed(situation("nat-pair", DIRECT), {"daemons": {B: "frozen"}}))

    assert causes(found) == []
    assert "the node of node-b is frozen (SIGSTOP)" in [each.sentence for each in found.findings]


def test_a_pair_that_has_not_talked_yet_is_told_to() -> None:
    found = explain(situation("nat-pair", PathNow()))

    assert (found.agrees, causes(found)) == (None, [])
    assert [each.command for each in found.remedies] == ["lab.ping lab node-a node-b"]


def test_a_router_that_cannot_be_asked_is_told() -> None:
    found = explain(replace(situation("hard-pair", RELAYED), uncounted={"home-a": "no conntrack"}))

    assert found.findings[-1].sentence == "home-a cannot tell of its flows: no conntrack"


def test_each_side_has_a_path_of_its_own() -> None:
    now = situation("nat-pair", DIRECT)
    found = explain(replace(now, paths={A: DIRECT, B: RELAYED}))

    assert found.path.from_there == "relay"
    assert found.findings[-1].about == B


@pytest.mark.parametrize(
    ("changes", "about", "command"),
    [
        ({"daemons": {B: "frozen"}}, B, "lab.daemon lab node-b --thaw"),
        ({"daemons": {A: "exited"}}, A, "lab.daemon lab node-a --start"),
        ({"links": {"home-b": {"is_plugged": False}}}, "home-b", "lab.link lab home-b --up"),
        ({"links": {"node-a": {"is_plugged": False}}}, A, "lab.link lab node-a --up"),
        ({"links": {"home-a": {"loss": 1.0}}}, "home-a", "lab.link lab home-a --loss 0%"),
        ({"cuts": [(A, B)]}, "node-a node-b", "lab.restore lab node-a node-b"),
        ({"cuts": [("home-b", A)]}, "home-b node-a", "lab.restore lab home-b node-a"),
    ],
)
def test_what_stands_in_the_way_just_now_is_the_first_cause(
    changes: Mapping[str, Any], about: str, command: str
) -> None:
    found = explain(changed(situation("nat-pair", RELAYED), changes))

    assert [each.about for each in found.findings if each.weight == "cause"] == [about]
    assert found.remedies[0].command == command
    assert not found.agrees


@pytest.mark.parametrize(
    "changes",
    [
        {"links": {"nyc": {"loss": 1.0}}},
        {"cuts": [(A, "nyc")]},
        {"daemons": {"nyc": "exited"}},
        {"links": {"home-a": {"loss": 0.05}}},
    ],
)
def test_what_keeps_nobody_from_a_direct_path_is_no_cause(changes: Mapping[str, Any]) -> None:
    assert causes(explain(changed(situation("nat-pair", RELAYED), changes))) == []


def test_a_link_too_small_for_data_is_told() -> None:
    now = situation("nat-pair", RELAYED, links=links(home_b={"mtu": 1300}))

    assert "the link home-b carries packets up to 1300 bytes" in explain(now).findings[0].sentence


def test_of_plain_wireguard_only_who_is_on_the_internet_is_found() -> None:
    def between(a: str, b: str) -> Explanation:
        return explain(situation("plain-wireguard", PathNow(), a, b))

    assert between("wg-in", "node-b").expected.path == "direct"
    apart = between("node-a", "wg-in")
    assert (apart.expected.path, apart.agrees) == ("none", True)
    assert causes(apart)[0].startswith("neither node-a nor wg-in is on the internet")


def test_of_a_daemon_that_tells_nothing_the_flows_on_the_way_tell() -> None:
    now = replace(
        situation("plain-wireguard", PathNow(), "wg-in", "node-b"),
        flows={
            "home-b": [
                Flow("udp", "192.168.2.10:51820", "192.0.2.10:41641", "203.0.113.20:7", 3, 2, True)
            ]
        },
    )

    there, back = explain(now), explain(replace(now, a="node-b", b="wg-in"))

    assert (there.path.kind, there.path.via, there.agrees) == ("direct", "192.0.2.10:41641", True)
    assert there.path.seen == "the flows of home-b"
    assert back.path.from_there == "direct"  # node-b is ours: it tells by itself


def test_a_puncher_of_somebody_elses_make_needs_the_same_nats_and_no_relay() -> None:
    now = punchers("hard-pair")
    found = explain(now)

    assert (found.expected.path, found.expected.rule, found.agrees) == ("none", "R4b", True)
    assert causes(found)[0].endswith("; so it is for who punches as ICE does")
    assert [each.sentence for each in found.remedies] == [
        "home-a lets anybody in at a mapped endpoint",
        "home-b lets anybody in at a mapped endpoint",
    ]  # and no port mapping: nobody knows whether it would ask for one


def test_a_port_that_nobody_asks_for_is_not_counted_on() -> None:
    assert explain(punchers("port-mapped")).expected.rule == "R4b"
    assert explain(situation("port-mapped", DIRECT)).expected.rule == "D1"


def test_between_two_hosts_without_any_router_nobody_counts() -> None:
    found = explain(situation("plain-wireguard", PathNow(), "wg-out", "node-b"))

    assert (found.expected.path, found.agrees) == ("direct", None)
    assert [each.sentence for each in found.findings] == [
        "no router is between them that would have counted their packets"
    ]


def test_a_host_without_a_daemon_has_no_path() -> None:
    found = explain(
        replace(situation("nat-pair", PathNow()), daemons={A: DaemonNow("node", "ready")})
    )

    assert causes(found) == ["node-b runs no daemon that could have a path"]


def test_behind_one_carrier_the_way_is_no_longer_than_there() -> None:
    found = explain(situation("same-carrier", DIRECT))

    assert [each.machine for each in found.hops] == [A, "home-a", "isp", "home-b", B]


@pytest.mark.parametrize(
    ("a", "b", "problem"),
    [
        (A, "nyc", "nyc is a relay: a path is between two hosts"),
        ("home-a", B, "home-a is a router: a path is between two hosts"),
        (A, "node-x", "mine has no host node-x"),
        (A, A, "node-a is one host: a path is between two"),
    ],
)
def test_what_is_no_pair_is_told(a: str, b: str, problem: str) -> None:
    with pytest.raises(BadRequest) as failure:
        check_pair(load("nat-pair"), "mine", a, b)

    assert failure.value.problem == problem


def test_people_read_the_path_first_then_what_is_expected_and_why() -> None:
    now = replace(situation("hard-pair", RELAYED), now=130.0, endpoints={A: ["203.0.113.10:9"]})

    path, expected, _, *rest = text(explain(now)).splitlines()

    assert path == "node-a -> node-b: relay via nyc, for 30 s"
    assert expected == "expected: relay (rule R4b): as it is"
    assert [line.split()[0] for line in rest[:4]] == ["node-a", "advertises", "home-a", "maps"]
    assert rest.index("why it is not direct:") < rest.index("what would make it direct:")


def test_the_same_is_one_json_document() -> None:
    told = asdict(explain(situation("hard-pair", RELAYED)))

    assert told["path"]["kind"] == told["expected"]["path"] == "relay"
    assert told["findings"][0]["weight"] == "cause"


# --- helpers


def situation(
    topology: str,
    path: PathNow,
    a: str = A,
    b: str = B,
    links: Sequence[Mapping[str, Any]] = (),
) -> Situation:
    """A lab in which all is well, and the path is this one from both ends."""
    made = load(topology)
    plan = plan_of(made)
    return Situation(
        lab="lab",
        a=a,
        b=b,
        now=110.0,
        topology=made,
        plan=plan,
        paths={a: path, b: path},
        daemons={each.host: DaemonNow(each.runs, "ready") for each in plan.daemons},
        links=links,
    )


def punchers(topology: str) -> Situation:
    now = situation(topology, PathNow())
    others = {end: DaemonNow("command", "ready") for end in (A, B)}
    return replace(now, daemons={**now.daemons, **others}, flows={"home-a": [], "home-b": []})


def changed(now: Situation, changes: Mapping[str, Any]) -> Situation:
    daemons = {
        host: DaemonNow(now.daemons[host].runs, state)
        for host, state in changes.get("daemons", {}).items()
    }
    cuts = [
        {"a": a, "b": b, "one_way": False, "where": ["there"], "dropped": 3}
        for a, b in changes.get("cuts", ())
    ]
    bent = {name.replace("-", "_"): link for name, link in changes.get("links", {}).items()}
    return replace(now, daemons={**now.daemons, **daemons}, cuts=cuts, links=links(**bent))


def links(**changed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As `lab.links` tells them; those that are named are not as usual."""
    return [_link(name.replace("_", "-"), change) for name, change in changed.items()]


def _link(name: str, change: Mapping[str, Any]) -> dict[str, Any]:
    shape = Shape(loss=change.get("loss", 0.0))
    quality = asdict(LinkQuality(shape, shape, change.get("mtu")))
    return {"link": name, "is_plugged": change.get("is_plugged", True), **quality}


def causes(found: Explanation) -> list[str]:
    return [each.sentence for each in found.findings if each.weight == "cause"]
