"""The path after something went wrong, or right: on the relay in time, and direct again once it can be.

Each test has a stream of pings on its way while the thing happens, the lab's own proof that it happened, and
looks at both: what the nodes said, and what the pings saw. Bounds are for a machine with much else to do;
the figures to reach are the data path's own tests'.
"""

from __future__ import annotations

import time

import pytest

from lab.pytest_plugin import Net, NoReply, StartLab
from tests.e2e.asked import status
from tests.e2e.captures import wait_for_packets
from tests.e2e.pairs import (
    BACK,
    NOTICED,
    at_last,
    direct_pair,
    history,
    lost_after,
    moved,
    reaches,
    relayed_pair,
    silence,
    until_dropped,
    via,
)

BEAT = 0.02  # seconds between pings
UNDER_WAY = "udp port 41641 and udp[8:4] != 0x5453f09f"  # data of the stream, not disco
AGAIN = 10.0  # seconds where the connection to the relay has to be made again, or a handshake (5 s)
SPARE = {"handshake": 2, "call_me_maybe": 6, "netcheck": 2, "endpoints": 4}  # events
RANDOM_PORTS = '{ preset = "port-restricted-cone", ports = "random" }'


# --- the direct way is cut


@pytest.mark.scenario(52, 55)
@pytest.mark.parametrize("cut", [("node-a", "node-b"), ("node-a",), ("node-b",)])
def test_a_direct_path_that_is_cut_goes_back_to_the_relay_and_returns(
    lab: StartLab, cut: tuple[str, ...]
) -> None:
    """Both ways, only what node-a sends, only what it is sent."""
    net, a, b = direct_pair(lab)
    stream = a.stream(b, count=400, interval=BEAT, lasting=True)
    one, other = (cut[0], "node-b" if cut[0] == "node-a" else "node-a")

    net.cut(one, other, one_way=len(cut) == 1)
    a.wait_for_path(b, "relay", within=BACK)
    was_cut, fell = at_last(net, "cut"), a.path_events(b)[-1]["at"]
    dropped = net.restore("node-a", "node-b")
    a.wait_for_path(b, "direct", within=BACK)
    echoes = stream.finish()

    assert dropped > 0  # it was on the way that was cut
    assert fell - was_cut < NOTICED
    assert silence(echoes) < NOTICED
    assert moved(a, b, was_cut) == ["relay", "direct"]
    assert lost_after(echoes, at_last(net, "restore")) == 0
    net.prove_direct(a, b)


@pytest.mark.scenario(54)
def test_a_cut_of_a_blink_is_no_reason_to_leave(lab: StartLab) -> None:
    """Less than it takes to be sure."""
    net, a, b = direct_pair(lab)
    stream = a.stream(b, count=100, interval=BEAT, lasting=True)
    wait_for_packets(net, "home-a", 20, UNDER_WAY)  # else pings of disco alone meet the cut

    net.cut("node-a", "node-b")
    until_dropped(net, 5)
    dropped = net.restore("node-a", "node-b")
    echoes = stream.finish()

    assert dropped >= 5
    assert echoes.lost > 0
    assert silence(echoes) < NOTICED
    assert history(a, b, echoes) == ["relay", "direct"]


# --- the NAT changes


@pytest.mark.scenario(64)
def test_a_rebooted_nat_that_keeps_ports_is_hardly_felt(lab: StartLab) -> None:
    net, a, b = direct_pair(lab)
    stream = a.stream(b, count=200, interval=BEAT)

    forgotten = net.flush_nat("home-a")
    echoes = stream.finish()

    assert forgotten > 0
    assert silence(echoes) < NOTICED
    assert via(b, a) == "203.0.113.10:41641"
    net.prove_direct(a, b)


@pytest.mark.scenario(64, 71)
def test_a_rebooted_nat_that_gives_other_ports_costs_one_more_search(lab: StartLab) -> None:
    """What node-b knows of node-a leads nowhere any more."""
    net, a, b = direct_pair(lab, nat={"home-a": RANDOM_PORTS})
    before, began = via(b, a), time.monotonic()
    stream = a.stream(b, count=400, interval=BEAT, lasting=True)

    forgotten = net.flush_nat("home-a")
    net.wait_for_event("node-b", "path", within=BACK, since=began, kind="direct")
    a.wait_for_path(b, "direct", within=BACK)
    found = max(at_last(net, "path", host=host) for host in ("node-a", "node-b"))
    echoes = stream.finish()

    assert forgotten > 0
    assert via(b, a) != before
    assert echoes.lost > 0
    assert lost_after(echoes, found) == 0
    assert silence(echoes) < AGAIN
    net.prove_direct(a, b)


@pytest.mark.scenario(59)
def test_a_nat_that_becomes_easy_lets_the_path_become_direct(lab: StartLab) -> None:
    net, a, b = relayed_pair(lab)
    net.prove_relayed(a, b)
    stream = a.stream(b, count=400, interval=BEAT)

    net.set_nat("home-a", "full-cone")
    a.wait_for_path(b, "direct", within=BACK)
    echoes = stream.finish()

    assert silence(echoes) < AGAIN
    net.prove_direct(a, b)


@pytest.mark.scenario(64)
def test_nats_that_become_hard_send_the_path_back_to_the_relay(lab: StartLab) -> None:
    """The type changes."""
    net, a, b = direct_pair(lab)
    stream = a.stream(b, count=300, interval=BEAT)

    net.set_nat("home-a", "symmetric")
    net.set_nat("home-b", "symmetric")
    a.wait_for_path(b, "relay", within=BACK)
    echoes = stream.finish()

    assert silence(echoes) < AGAIN
    net.prove_relayed(a, b)
    assert a.path(b) == "relay"


@pytest.mark.scenario(64)
def test_a_new_address_of_the_nat_is_found(lab: StartLab) -> None:
    """As when a provider gives another address at night."""
    net, a, b = direct_pair(lab)
    stream = a.stream(b, count=400, interval=BEAT)

    net.set_wan("home-a", "203.0.113.99")
    net.wait_for_event("node-b", "path", within=BACK, kind="direct", via="203.0.113.99:41641")
    a.wait_for_path(b, "direct", within=BACK)
    echoes = stream.finish()

    assert silence(echoes) < AGAIN
    net.prove_direct(a, b)


# --- the host moves


@pytest.mark.scenario(58)
def test_a_host_that_moves_to_the_others_home_talks_in_the_lan(lab: StartLab) -> None:
    net, a, b = direct_pair(lab)
    stream = a.stream(b, count=400, interval=BEAT)

    net.move("node-a", "home-b")
    net.wait_for_event("node-a", "path", within=BACK, kind="direct", via="192.168.2.10:41641")
    echoes = stream.finish()

    assert silence(echoes) < AGAIN
    net.prove_direct(a, b)


@pytest.mark.scenario(58)
def test_a_host_that_moves_behind_another_nat_is_found_there(lab: StartLab) -> None:
    net, a, b = direct_pair(lab, "double-nat")
    stream = a.stream(b, count=400, interval=BEAT)
    elsewhere = "carrier-b"

    net.move("node-a", elsewhere)
    moved_at = at_last(net, "move")
    echoes = stream.finish()
    a.wait_for_path(b, "direct", within=BACK)

    assert net.events(event="move")[0]["now"] == elsewhere
    assert [e for e in a.path_events(b) if e["at"] > moved_at][-1]["kind"] == "direct"
    assert silence(echoes) < AGAIN
    net.prove_direct(a, b)


# --- the cable


@pytest.mark.scenario(61)
@pytest.mark.parametrize("whose", ["node-a", "home-b"])
def test_an_unplugged_cable_is_back_when_it_is(lab: StartLab, whose: str) -> None:
    """On a direct path: the host's own, and its router's far away."""
    net, a, b = direct_pair(lab)
    stream = a.stream(b, count=400, interval=BEAT, lasting=True)

    net.unplug(whose)
    with pytest.raises(NoReply):  # it is out
        a.ping(b, patience=2)
    net.plug(whose)
    plugged = at_last(net, "link", up=True)
    reaches(a, b)
    echoes = stream.finish()

    first = next(times[0] for times in echoes.received if times and times[0] > plugged)
    assert first - plugged < AGAIN
    a.wait_for_path(b, "direct", within=BACK)


@pytest.mark.scenario(43, 61)
@pytest.mark.parametrize("whose", ["node-a", "node-b"])
def test_an_outage_on_the_relay_path_ends_when_the_cable_is_back(lab: StartLab, whose: str) -> None:
    net, a, b = relayed_pair(lab)
    stream = a.stream(b, count=400, interval=BEAT, lasting=True)

    net.unplug(whose)
    with pytest.raises(NoReply):
        a.ping(b, patience=5)
    net.plug(whose)
    plugged = at_last(net, "link", up=True)
    reaches(a, b)
    echoes = stream.finish()

    first = next(times[0] for times in echoes.received if times and times[0] > plugged)
    assert first - plugged < AGAIN


@pytest.mark.scenario(62)
def test_quick_flaps_end_in_a_path(lab: StartLab) -> None:
    net, a, b = direct_pair(lab)
    stream = a.stream(b, count=300, interval=BEAT, lasting=True)

    for _ in range(5):
        net.unplug("node-a")
        net.plug("node-a")
    reaches(a, b)
    echoes = stream.finish()

    assert len([e for e in net.events("node-a", "link") if e["up"] is False]) == 5
    assert echoes.received[-1] != []
    a.wait_for_path(b, "direct", within=BACK)
    net.prove_direct(a, b)


# --- the daemon


@pytest.mark.scenario(86)
@pytest.mark.parametrize(("action", "away"), [("kill", 1), ("stop", 8)])
def test_a_node_that_ends_and_starts_again_is_the_same_one(
    lab: StartLab, action: str, away: int
) -> None:
    """The same key, and everything else new; before the other leaves the path, and after."""
    net, a, b = direct_pair(lab)

    net.daemon("node-b", action)
    with pytest.raises(NoReply):
        a.ping(b, patience=away)
    assert away == 1 or a.path(b) == "relay"
    net.daemon("node-b", "start")

    reaches(a, b)
    for one, other in ((a, b), (b, a)):
        one.wait_for_path(other, "direct", within=BACK)
    net.prove_direct(a, b)


@pytest.mark.scenario(86)
def test_a_restart_in_the_middle_of_a_stream(lab: StartLab) -> None:
    net, a, b = direct_pair(lab)
    stream = a.stream(b, count=400, interval=BEAT, lasting=True)

    net.daemon("node-b", "restart")
    reaches(a, b)
    echoes = stream.finish()

    assert echoes.received[-1] != []
    assert silence(echoes) < AGAIN + NOTICED
    a.wait_for_path(b, "direct", within=BACK)


@pytest.mark.scenario(86)
def test_both_nodes_restarted_at_once_find_each_other(lab: StartLab) -> None:
    net, a, b = direct_pair(lab)

    for host in ("node-a", "node-b"):
        net.daemon(host, "kill")
    for host in ("node-a", "node-b"):
        net.daemon(host, "start")

    reaches(a, b)
    reaches(b, a)
    for one, other in ((a, b), (b, a)):
        one.wait_for_path(other, "direct", within=BACK)
    net.prove_direct(a, b)


@pytest.mark.scenario(69)
def test_a_frozen_node_goes_on_when_it_thaws(lab: StartLab) -> None:
    """Asleep for longer than a path is trusted, and awake without a stampede."""
    net, a, b = direct_pair(lab)
    before = packets_sent(net, "node-b")

    net.daemon("node-b", "freeze")
    with pytest.raises(NoReply):
        a.ping(b, patience=7)
    net.daemon("node-b", "thaw")
    thawed = at_last(net, "daemon", state="ready")
    reaches(a, b)
    for one, other in ((a, b), (b, a)):
        one.wait_for_path(other, "direct", within=BACK)

    after = [e["event"] for e in net.events("node-b") if e["at"] > thawed]
    assert {each: after.count(each) for each in SPARE if after.count(each) > SPARE[each]} == {}
    assert packets_sent(net, "node-b") - before <= 8  # answers, keepalives
    net.prove_direct(a, b)


# --- the relay


@pytest.mark.scenario(40, 42)
@pytest.mark.parametrize("action", ["restart", "kill"])
def test_a_relay_that_comes_back_carries_on(lab: StartLab, action: str) -> None:
    """It is all there is."""
    net, a, b = relayed_pair(lab)
    stream = a.stream(b, count=500, interval=BEAT, lasting=True)

    net.daemon("nyc", action)
    if action == "kill":
        with pytest.raises(NoReply):
            a.ping(b, patience=1)
        net.daemon("nyc", "start")
    ready = at_last(net, "daemon", host="nyc", state="ready")
    reaches(a, b)
    echoes = stream.finish()

    lost = [e["host"] for e in net.events(event="relay_lost")]
    assert {"node-a", "node-b"} <= set(lost)
    first = next(times[0] for times in echoes.received if times and times[0] > ready)
    assert first - ready < AGAIN
    assert echoes.received[-1] != []


@pytest.mark.scenario(41)
def test_without_any_relay_a_direct_path_goes_on(lab: StartLab) -> None:
    net, a, b = direct_pair(lab)
    stream = a.stream(b, count=250, interval=BEAT)

    net.daemon("nyc", "kill")
    echoes = stream.finish()

    assert echoes.lost == 0
    assert net.events("node-a", "relay_lost") != []
    assert a.path(b) == "direct"

    started = time.monotonic()  # who knocks early is in before the relay is known to be ready
    net.daemon("nyc", "start")
    for host in ("node-a", "node-b"):
        net.wait_for_event(host, "relay_connected", within=BACK, since=started)
    net.cut("node-a", "node-b")
    reaches(a, b)  # over the relay that is back; on both ways, until the direct one is given up
    net.wait_for_event("node-a", "path", within=BACK, since=started, kind="relay")


# --- what was seen


def packets_sent(net: Net, host: str) -> int:
    """Through the tunnel, by whatever way."""
    counters = status(net, host)["counters"]
    return sum(n for name, n in counters.items() if name.startswith("outbound_packets_"))
