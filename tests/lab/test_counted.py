"""From counters to sentences: flows followed through routers, unanswered pings, and who dropped them."""

from __future__ import annotations

from dataclasses import replace

from lab.judge.behaviour import shown, surprises
from lab.judge.counted import answered, unanswered
from lab.judge.hops import hops
from lab.judge.judged import Judged
from lab.judge.measured import Disagreement, Measured
from lab.judge.passages import Passage, address_of, passages, towards
from lab.judge.situation import NOT_OURS, Drop, Flow, Pinged, Situation
from lab.model.layout import plan_of
from lab.model.topology import load

A, B = "node-a", "node-b"
UNASKED = Drop("nobody inside asked for it", 7, "iptables: -A INPUT -i wan0 -j DROP")
ONLY_443 = Drop("only TCP 443 goes out", 5, "iptables: -A FORWARD -o wan0 -j REJECT")


def test_a_flow_is_followed_through_both_nats_of_a_home() -> None:
    now = replace(
        situation("double-nat"),
        flows={
            "home-a": [udp("192.168.1.10:41641", "203.0.113.20:5", "10.64.0.10:41641", 3, 2)],
            "carrier-a": [
                udp("10.64.0.11:41641", "203.0.113.20:5", "203.0.113.10:9", 1, 1),
                udp("10.64.0.10:41641", "203.0.113.20:5", "203.0.113.10:41641", 3, 2),
            ],
        },
    )

    assert list(passages(now, A)) == [
        Passage(
            *("udp", "192.168.1.10:41641", "203.0.113.20:5", "203.0.113.10:41641", "carrier-a"),
            *(3, 2, True),
        )
    ]
    assert list(answered(now, A)) == [
        "carrier-a: 192.168.1.10:41641 as 203.0.113.10:41641 <-> 203.0.113.20:5: 3 packets out, 2 back"
    ]


def test_what_the_next_router_never_saw_ends_at_the_last_that_did() -> None:
    now = replace(
        situation("double-nat"),
        flows={
            "home-a": [udp("192.168.1.10:41641", "203.0.113.20:5", "10.64.0.10:41641", 3)],
            "carrier-a": [udp("10.64.0.10:41641", "203.0.113.20:6", "203.0.113.10:41641", 3)],
        },
    )

    [passage] = passages(now, A)
    assert (passage.outside, passage.last) == ("10.64.0.10:41641", "home-a")


def test_only_udp_to_the_other_ends_addresses_counts() -> None:
    to_peer = udp("192.168.1.10:41641", "203.0.113.20:5", "203.0.113.10:1")
    now = replace(
        situation("hard-pair"),
        flows={
            "home-a": [
                to_peer,
                udp("192.168.1.10:41641", "198.51.100.10:3478", "203.0.113.10:2", 1, 1),
                udp("192.168.1.10:41641", "192.168.2.10:41641", "203.0.113.10:3"),
                udp("192.168.1.99:41641", "203.0.113.20:5", "203.0.113.10:4"),
                replace(to_peer, protocol="tcp"),
            ]
        },
    )

    assert [each.to for each in towards(now, A)] == ["203.0.113.20:5"]


def test_an_unanswered_ping_is_told_with_its_mapping_and_the_rule_that_dropped_it() -> None:
    now = replace(
        situation("hard-pair"),
        pings={
            A: [Pinged("203.0.113.20:5", 7, 0, 0, 2.0), Pinged("192.168.2.10:41641", 7, 0, 0, 2.0)]
        },
        flows={
            "home-a": [
                udp("192.168.1.10:41641", "203.0.113.20:5", "203.0.113.10:1", 7),
                udp("192.168.1.10:41641", "198.51.100.10:3478", "203.0.113.10:2", 1, 1),
            ]
        },
        drops={"home-b": [UNASKED, replace(UNASKED, packets=0)]},
    )

    [found] = unanswered(now)

    assert found.sentence == (
        "node-a has sent 7 pings to 203.0.113.20:5 (home-b), the last one 2 s ago: no pongs"
    )
    assert found.evidence == (
        "home-a: it left from 203.0.113.10:1, and nyc knows it as 203.0.113.10:2",
        "home-b: 7 packets dropped, nobody inside asked for it (iptables: -A INPUT -i wan0 -j DROP)",
    )


def test_where_packets_are_not_counted_it_is_known_whether_there_were_any() -> None:
    flow = Flow("udp", "192.168.1.10:1", "203.0.113.20:5", "203.0.113.10:1", is_answered=True)
    now = replace(situation("nat-pair"), flows={"home-a": [replace(flow, is_answered=False)]})

    [found] = unanswered(now)
    assert (
        found.sentence == "node-a has sent packets to 203.0.113.20:5 (home-b): no packets came back"
    )
    assert list(answered(replace(now, flows={"home-a": [flow]}), A)) == [
        "home-a: 192.168.1.10:1 as 203.0.113.10:1 <-> 203.0.113.20:5"
    ]


def test_a_rule_that_dropped_more_than_was_sent_has_dropped_others_too() -> None:
    now = replace(
        situation("hard-pair"),
        flows={"home-a": [udp("192.168.1.10:1", "203.0.113.20:5", "203.0.113.10:1", 2)]},
        drops={"home-b": [UNASKED]},
    )

    [found] = unanswered(now)
    assert (
        found.sentence
        == "node-a has sent 2 packets to 203.0.113.20:5 (home-b): no packets came back"
    )
    assert found.evidence[1].startswith("home-b: 7 packets from all senders dropped, ")


def test_what_never_left_was_dropped_on_the_way_out() -> None:
    now = replace(
        situation("udp-blocked"),
        pings={A: [Pinged("203.0.113.20:41641", 5, 0, 0, 1.0)]},
        drops={"office": [ONLY_443], "home-b": [replace(UNASKED, packets=0)]},
    )

    [found] = unanswered(now)
    assert found.evidence == (
        "office: 5 packets dropped, only TCP 443 goes out (iptables: -A FORWARD -o wan0 -j REJECT)",
    )


def test_a_rule_that_somebody_added_by_hand_is_told_on_either_side() -> None:
    by_hand = Drop(NOT_OURS, 4, "iptables: -A FORWARD -p udp -j DROP")
    now = replace(
        situation("nat-pair"),
        pings={A: [Pinged("203.0.113.20:41641", 4, 0, 0, 1.0)]},
        drops={"home-a": [by_hand], "home-b": [replace(by_hand, packets=0)]},
    )

    [found] = unanswered(now)
    assert found.evidence == (
        "home-a: 4 packets dropped, by a rule that is not the lab's "
        "(iptables: -A FORWARD -p udp -j DROP)",
    )


def test_one_endpoint_for_two_destinations_is_what_a_cone_shows() -> None:
    def seen(outside: str) -> Situation:
        first = udp("192.168.1.10:1", "203.0.113.20:5", "203.0.113.10:1")
        other = udp("192.168.1.10:1", "198.51.100.10:3478", outside)
        return replace(situation("nat-pair"), flows={"home-a": [first, other]})

    [one] = shown(seen("203.0.113.10:1"), "home-a")
    assert str(one) == "192.168.1.10:1 has 1 endpoint for 2 destinations"
    assert list(surprises(seen("203.0.113.10:1"))) == []
    [surprise] = surprises(seen("203.0.113.10:2"))
    assert surprise.weight == "cause"
    assert surprise.sentence == (
        "home-a is called endpoint-independent, and yet 192.168.1.10:1 has 2 endpoints for 2 destinations"
    )


def test_what_was_measured_stands_beside_the_words() -> None:
    wrong = Disagreement("filtering", "endpoint-independent", "address-dependent")
    as_called = Judged("home-a", "port-restricted-cone", Measured(udp=True))
    now = replace(
        situation("nat-pair"),
        measured={
            "home-a": as_called,
            "home-b": replace(as_called, router="home-b", disagreements=(wrong,)),
        },
    )

    words = {each.machine: each.words[-1] for each in hops(now) if each.words}
    assert words["home-a"] == "measured: it is what it is called"
    assert words["home-b"] == (
        "measured, and NOT AS CALLED: filtering: declared endpoint-independent, "
        "measured address-dependent"
    )
    assert [each.sentence for each in surprises(now)] == ["home-b is not what it is called"]


def test_who_advertises_only_its_lan_cannot_be_pinged() -> None:
    now = replace(
        situation("udp-blocked"),
        endpoints={A: ["192.168.1.10:41641"]},
        flows={"home-b": [], "office": []},
    )

    assert [each.sentence for each in unanswered(now)] == [
        "node-a advertises no endpoint that node-b can reach: 192.168.1.10:41641"
    ]


def test_the_age_of_the_last_pong_tells_that_it_once_was_direct() -> None:
    pings = {A: [Pinged("203.0.113.20:41641", 9, 3, 1, 2.0, 30.0)]}

    [found] = unanswered(replace(situation("nat-pair"), pings=pings))
    assert found.sentence == (
        "node-a has sent 9 pings to 203.0.113.20:41641 (home-b), the last one 2 s ago: "
        "3 pongs, the last one 30 s ago; 1 came from there"
    )


def test_endpoints_lose_their_ports_in_both_families() -> None:
    assert address_of("203.0.113.10:41641") == "203.0.113.10"
    assert address_of("[2001:db8::1]:41641") == "2001:db8::1"


# --- helpers


def situation(topology: str) -> Situation:
    made = load(topology)
    return Situation("lab", A, B, 0.0, made, plan_of(made))


def udp(source: str, to: str, outside: str, sent: int = 1, answered: int = 0) -> Flow:
    return Flow("udp", source, to, outside, sent, answered, is_answered=answered > 0)
