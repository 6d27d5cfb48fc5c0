"""Two nodes on a small internet: from the first packet, over the relay, to a direct path and back."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from node.core.disco import DiscoBox
from node.keys import DiscoPrivate
from node.netmap import Netmap
from node.wire.disco import Ping
from node.wire.endpoint import Endpoint
from tests.node.nat_model import Nat, full_cone, port_restricted, symmetric
from tests.node.network import Machine, Network


def pair(
    nat_a: Nat | None, nat_b: Nat | None, *, one_way: float = 0.010, is_up: bool = True
) -> tuple[Network, Machine, Machine]:
    net = Network(one_way=one_way)
    relay = net.add_relay(900, "nyc", "198.51.100.1")
    relay.is_up = relay.answers_stun = is_up
    a = net.add_node("node-a", "100.64.1.10", address="192.168.1.10", nat=nat_a)
    b = net.add_node("node-b", "100.64.2.20", address="192.168.2.20", nat=nat_b)
    net.start()
    return net, a, b


def payloads(machine: Machine) -> list[bytes]:
    return [payload for _, payload in machine.received]


def stream(net: Network, a: Machine, b: Machine, count: int, gap: float = 0.01) -> list[bytes]:
    """A hundred packets a second, each with its number."""
    sent = [b"%06d" % number for number in range(count)]
    for number, payload in enumerate(sent):
        net.at(net.now + number * gap, partial(net.send, a, b, payload))
    net.run(count * gap + 1.0)
    return sent


def test_the_first_packet_arrives_over_the_relay() -> None:
    net, a, b = pair(port_restricted("203.0.113.10"), port_restricted("203.0.113.20"))
    net.send(a, b, b"hello")
    took = net.run_until(lambda: payloads(b) == [b"hello"], within=1.0)
    assert a.history(b) == ["relay"]
    assert round(took, 6) == round(3 * 2 * 0.010, 6)  # there, back and there again


def test_the_first_packet_is_answered_within_three_round_trips_of_the_relay() -> None:
    net, a, b = pair(port_restricted("203.0.113.10"), port_restricted("203.0.113.20"))
    relay_rtt = 4 * 0.010
    net.send(a, b, b"hello")
    asked = net.run_until(lambda: payloads(b) == [b"hello"], within=3 * relay_rtt)
    net.send(b, a, b"yes?")
    answered = net.run_until(lambda: payloads(a) == [b"yes?"], within=3 * relay_rtt)
    assert asked + answered <= 3 * relay_rtt
    assert a.history(b) == ["relay"]


def test_two_port_restricted_nats_move_from_relay_to_direct() -> None:
    net, a, b = pair(port_restricted("203.0.113.10"), port_restricted("203.0.113.20"))
    net.send(a, b, b"hello")
    relay_rtt, direct_rtt = 4 * 0.010, 2 * 0.010
    net.run_until(
        lambda: a.kind(b) == "direct" and b.kind(a) == "direct",
        within=2 * relay_rtt + 2 * direct_rtt + 0.050,
    )
    assert (a.history(b), b.history(a)) == (["relay", "direct"], ["relay", "direct"])


def test_no_packet_is_lost_or_doubled_across_the_move() -> None:
    net, a, b = pair(port_restricted("203.0.113.10"), port_restricted("203.0.113.20"))
    sent = stream(net, a, b, 300)
    assert sorted(payloads(b)) == sent  # the first direct ones overtake the last relayed ones
    assert a.history(b) == ["relay", "direct"]


def test_two_symmetric_nats_stay_on_the_relay() -> None:
    net, a, b = pair(symmetric("203.0.113.10"), symmetric("203.0.113.20"))
    sent = stream(net, a, b, 1000)
    assert payloads(b) == sent
    assert (a.history(b), b.history(a)) == (["relay"], ["relay"])


@pytest.mark.scenario(89)
def test_what_a_relay_delivers_twice_comes_once() -> None:
    net, a, b = pair(symmetric("203.0.113.10"), symmetric("203.0.113.20"))
    stream(net, a, b, 3)
    net.send(a, b, b"hello")
    _, recorded = net.relays[900].carried[-1]
    net.run(1.0)

    for _ in range(2):
        net.perform(b, b.mesh.receive_relay(900, a.key, [recorded], net.now))

    assert payloads(b).count(b"hello") == 1
    assert b.mesh.all_counters["replayed"] == 2


def test_the_status_tells_which_pings_went_out_and_that_none_was_answered() -> None:
    net, a, b = pair(symmetric("203.0.113.10"), symmetric("203.0.113.20"))
    stream(net, a, b, 200)

    [state] = a.mesh.status(net.now).peers
    [outside] = [each for each in state.candidates if each.endpoint.startswith("203.0.113.20:")]

    assert outside.sources == ("call-me-maybe",)
    assert (outside.pings_sent > 3, outside.pongs, outside.pings_received) == (True, 0, 0)


def test_the_status_of_a_direct_path_tells_of_its_pongs() -> None:
    net, a, _ = direct_pair()

    [state] = a.mesh.status(net.now).peers
    [used] = [each for each in state.candidates if each.endpoint == state.via]
    assert used.pongs > 0
    assert used.last_pong_age is not None


def test_one_symmetric_nat_and_an_open_one_meet_directly() -> None:
    net, a, b = pair(symmetric("203.0.113.10"), full_cone("203.0.113.20"))
    net.send(a, b, b"hello")
    net.run_until(lambda: a.kind(b) == "direct" and b.kind(a) == "direct", within=5.0)


def test_a_static_forward_that_is_named_is_found_with_one_region_too() -> None:
    """One region cannot tell that the mapping varies."""
    nat = symmetric("203.0.113.10")
    nat.forwards[7777] = Endpoint("192.168.1.10", 41641)
    net, a, b = pair(nat, symmetric("203.0.113.20"))
    a.mesh.surroundings.set_explicit([Endpoint("203.0.113.10", 7777)])
    net.perform(a, a.mesh.set_local_endpoints([a.endpoint], net.now))
    stream(net, a, b, 200)
    assert (a.history(b), b.history(a)) == (["relay", "direct"], ["relay", "direct"])
    assert b.events_of("path")[-1].fields["via"] == "203.0.113.10:7777"


@pytest.mark.parametrize(
    ("forwards", "history"),
    [({41641: Endpoint("192.168.1.10", 41641)}, ["relay", "direct"]), ({}, ["relay"])],
    ids=["forward", "control"],
)
def test_a_static_forward_on_a_symmetric_nat_is_found(
    forwards: dict[int, Endpoint], history: list[str]
) -> None:
    """Two regions see that the mapping varies, and neither sees the forward."""
    net = Network()
    net.add_relay(900, "nyc", "198.51.100.1")
    net.add_relay(901, "fra", "198.51.100.2")
    nat_a, nat_b = symmetric("203.0.113.10"), symmetric("203.0.113.20")
    nat_a.forwards |= forwards
    nat_a.step = nat_b.step = 777  # nobody guesses these ports
    a = net.add_node("node-a", "100.64.1.10", address="192.168.1.10", nat=nat_a)
    b = net.add_node("node-b", "100.64.2.20", address="192.168.2.20", nat=nat_b)
    net.start()
    sent = stream(net, a, b, 300)
    assert sorted(payloads(b)) == sent
    assert (a.history(b), b.history(a)) == (history, history)
    if forwards:
        assert b.events_of("path")[-1].fields["via"] == "203.0.113.10:41641"


def test_two_nodes_in_one_lan_use_the_lan() -> None:
    nat = port_restricted("203.0.113.10")
    net = Network()
    net.add_relay(900, "nyc", "198.51.100.1")
    a = net.add_node("node-a", "100.64.1.10", address="192.168.1.10", nat=nat)
    b = net.add_node("node-b", "100.64.2.20", address="192.168.1.20", nat=nat)
    net.start()
    net.send(a, b, b"hello")
    net.run_until(lambda: a.kind(b) == "direct" and b.kind(a) == "direct", within=1.0)
    assert a.events_of("path")[-1].fields["via"] == "192.168.1.20:41641"


# --- a direct path dies, and comes back ---


def direct_pair() -> tuple[Network, Machine, Machine]:
    net, a, b = pair(port_restricted("203.0.113.10"), port_restricted("203.0.113.20"))
    stream(net, a, b, 50)
    assert (a.kind(b), b.kind(a)) == ("direct", "direct")
    return net, a, b


def test_a_direct_path_that_dies_silently_is_back_on_the_relay_within_a_second() -> None:
    net, a, b = direct_pair()
    died = net.now
    net.cut_direct(a, b)
    before = len(b.received)
    stream(net, a, b, 300)
    first = b.received[before][0]
    assert first - died < 1.0
    assert a.kind(b) == "relay"
    assert len(set(payloads(b)[before:])) == len(payloads(b)[before:])  # mirrored, but not doubled


def test_a_direct_path_that_dies_one_way_is_left_as_well() -> None:
    net, a, b = direct_pair()
    net.cut.add(("node-a", "node-b"))
    died, before = net.now, len(b.received)
    for number in range(200):  # both ends talk: what arrives from b says nothing of our own way
        net.at(net.now + number * 0.01, partial(net.send, a, b, b"to b"))
        net.at(net.now + number * 0.01, partial(net.send, b, a, b"to a"))
    net.run(2.0)
    assert b.received[before][0] - died < 2.0
    assert a.kind(b) == "relay"


def test_a_repaired_direct_path_is_used_again_within_three_seconds() -> None:
    net, a, b = direct_pair()
    net.cut_direct(a, b)
    stream(net, a, b, 1000)
    assert a.kind(b) == "relay"
    net.mend_direct(a, b)
    mended = net.now
    for number in range(400):
        net.at(net.now + number * 0.01, partial(net.send, a, b, b"more"))
    net.run_until(lambda: a.kind(b) == "direct", within=3.0)
    assert net.now - mended < 3.0
    assert a.history(b) == ["relay", "direct", "relay", "direct"]


def test_a_nat_that_reboots_costs_a_moment_only() -> None:
    net, a, b = direct_pair()
    assert a.nat is not None
    a.nat.reboot()
    before = len(b.received)
    sent = stream(net, a, b, 1000)
    arrived = len(b.received) - before
    assert arrived > len(sent) - 100  # less than a second of them is lost
    assert (a.kind(b), b.kind(a)) == ("direct", "direct")


# --- relays come and go ---


def test_the_relay_may_go_when_the_path_is_direct() -> None:
    net, a, b = direct_pair()
    net.kill(net.relays[900])
    before = len(b.received)
    sent = stream(net, a, b, 300)
    assert payloads(b)[before:] == sent
    assert a.history(b) == ["relay", "direct"]


def test_a_relay_that_comes_back_is_found_again() -> None:
    net, a, b = pair(symmetric("203.0.113.10"), symmetric("203.0.113.20"))
    stream(net, a, b, 50)
    net.kill(net.relays[900])
    net.run(60.0)
    whys = [event.fields["why"] for event in a.events_of("relay_lost")]
    assert whys == ["it closed", "connection refused"]  # not one line for each attempt in vain
    net.revive(net.relays[900])
    net.run(6.5)  # the back-off is at most 5 s
    before = len(b.received)
    sent = stream(net, a, b, 50)
    assert payloads(b)[before:][-50:] == sent


def test_packets_for_a_relay_that_is_not_up_yet_wait_in_a_short_queue() -> None:
    net = Network()
    net.add_relay(900, "nyc", "198.51.100.1")
    a = net.add_node("node-a", "100.64.1.10", address="192.168.1.10", nat=symmetric("203.0.113.1"))
    b = net.add_node("node-b", "100.64.2.20", address="192.168.2.20", nat=symmetric("203.0.113.2"))
    for machine in (a, b):
        net.boot(machine)
    net.send(a, b, b"at once")  # nothing is connected yet
    net.run(1.0)
    assert payloads(b) == [b"at once"]


def test_packets_for_a_relay_that_refuses_us_leave_by_another_one() -> None:
    """The netmap says where node-b was to be found; it has moved since, as its home is gone."""
    net = Network()
    net.add_relay(900, "nyc", "198.51.100.1")
    net.add_relay(901, "fra", "198.51.100.2")
    a = net.add_node("node-a", "100.64.1.10", address="192.168.1.10", nat=symmetric("203.0.113.1"))
    b = net.add_node(
        "node-b", "100.64.2.20", address="192.168.2.20", nat=symmetric("203.0.113.2"), home=901
    )
    net.kill(net.relays[901])
    net.start()
    net.run(5.0)
    net.send(a, b, b"first")
    net.run_until(lambda: payloads(b) == [b"first"], within=1.0)


def test_after_a_broken_relay_connection_our_own_endpoint_is_asked_for_again() -> None:
    """A NAT that was rebooted, or replaced by an easy one, breaks it, and is somewhere else since."""
    net, a, b = pair(symmetric("203.0.113.10"), symmetric("203.0.113.20"))
    stream(net, a, b, 100)
    a.nat = full_cone("203.0.113.10")
    net.kill(net.relays[900])
    net.revive(net.relays[900])
    stream(net, a, b, 500)  # five seconds; unasked a netcheck comes every twenty
    assert a.history(b) == ["relay", "direct"]


@pytest.mark.parametrize("later", [1.5, 3.2])  # in the run that asks it in vain; and after it
def test_a_relay_that_comes_up_after_the_nodes_tells_them_at_once_where_they_are_seen(
    later: float,
) -> None:
    net, a, b = pair(port_restricted("203.0.113.10"), port_restricted("203.0.113.20"), is_up=False)
    net.run(later - 1.0)
    net.revive(net.relays[900])
    net.run_until(lambda: a.mesh.relays.is_up(900) and b.mesh.relays.is_up(900), within=5.0)
    net.run(2 * 0.010)
    assert [each.mesh.surroundings.endpoints(net.now)[0].address for each in (a, b)] == [
        "203.0.113.10",
        "203.0.113.20",
    ]


def test_a_relay_that_comes_and_goes_where_udp_is_blocked_is_not_asked_each_time() -> None:
    net, _, _ = pair(None, None)
    relay, questions = net.relays[900], list[Endpoint]()

    def swallow(_: Machine, to: Endpoint, __: bytes) -> bool:
        questions.append(to)
        return True

    net.lost = swallow
    for second in range(60):
        net.at(net.now + second, partial(net.kill, relay))
        net.at(net.now + second + 0.5, partial(net.revive, relay))
    net.run(60.0)
    assert 0 < len(questions) <= 2 * 3 * (60 / 5 + 1)


@pytest.mark.parametrize("near", ["nyc", "fra"])
def test_where_udp_is_blocked_the_nearer_relay_is_home_by_https(near: str) -> None:
    net = Network()
    relays = net.add_relay(900, "nyc", "198.51.100.1"), net.add_relay(901, "fra", "198.51.100.2")
    a = net.add_node("node-a", "100.64.1.10", address="192.168.1.10")
    net.far = {("node-a", each.region): 0.005 if each.code == near else 0.040 for each in relays}
    net.lost = lambda *_: True
    net.start()
    net.run(3.0)
    assert a.mesh.status(net.now).home == near


def test_the_second_region_takes_over_when_the_first_dies() -> None:
    net = Network()
    net.add_relay(900, "nyc", "198.51.100.1")
    net.add_relay(901, "fra", "198.51.100.2")
    a = net.add_node("node-a", "100.64.1.10", address="192.168.1.10", nat=symmetric("203.0.113.1"))
    b = net.add_node("node-b", "100.64.2.20", address="192.168.2.20", nat=symmetric("203.0.113.2"))
    net.start()
    stream(net, a, b, 50)
    died, before = net.now, len(b.received)
    net.kill(net.relays[900])
    for number in range(300):
        net.at(net.now + number * 0.01, partial(net.send, a, b, b"%06d" % number))
    net.run(4.0)
    assert b.received[before][0] - died < 2.0
    assert (a.mesh.status(net.now).home, b.mesh.status(net.now).home) == ("fra", "fra")

    net.revive(net.relays[900])
    before = len(b.received)
    sent = stream(net, a, b, 2000)
    assert payloads(b)[before:] == sent
    assert a.mesh.status(net.now).home == "nyc"


def test_nodes_at_different_homes_reach_each_other() -> None:
    net = Network()
    net.add_relay(900, "nyc", "198.51.100.1")
    net.add_relay(901, "fra", "198.51.100.2")
    a = net.add_node("node-a", "100.64.1.10", address="192.168.1.10", nat=symmetric("203.0.113.1"))
    b = net.add_node(
        "node-b", "100.64.2.20", address="192.168.2.20", nat=symmetric("203.0.113.2"), home=901
    )
    net.far = {("node-a", 901): 0.050, ("node-b", 900): 0.050}
    net.start()
    sent = stream(net, a, b, 50)
    assert payloads(b) == sent
    back = stream(net, b, a, 50)
    assert payloads(a) == back
    assert a.history(b) == ["relay"]

    net.run(180.0)  # nobody sends: connections that are no home are let go
    assert (a.mesh.relays.up, b.mesh.relays.up) == ([900], [901])


# --- nodes come and go ---


def test_a_restarted_node_is_reached_again_within_seconds() -> None:
    net, a, b = direct_pair()
    net.restart(b)
    restarted = net.now
    for number in range(1000):
        net.at(net.now + number * 0.01, partial(net.send, a, b, b"%06d" % number))
    before = len(b.received)
    net.run_until(lambda: len(b.received) > before, within=3.0)
    assert net.now - restarted < 2.0
    net.run_until(lambda: a.kind(b) == "direct" and b.kind(a) == "direct", within=5.0)


def test_a_restarted_node_may_speak_first() -> None:
    net, a, b = direct_pair()
    net.restart(b)
    net.run(1.0)
    sent = stream(net, b, a, 100)
    assert sorted(payloads(a)) == sent
    assert (a.kind(b), b.kind(a)) == ("direct", "direct")


def test_both_may_restart_at_once() -> None:
    net, a, b = direct_pair()
    net.restart(a)
    net.restart(b)
    net.run(1.0)
    before = len(b.received)
    sent = stream(net, a, b, 100)
    assert sorted(payloads(b)[before:]) == sent
    assert (a.kind(b), b.kind(a)) == ("direct", "direct")


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
@pytest.mark.parametrize("first", ["the restarted one", "the other"])
@pytest.mark.parametrize("nat", [port_restricted, symmetric])
def test_a_node_that_restarts_with_another_time_is_reached_again_at_once(
    jump: float, first: str, nat: Callable[[str], Nat]
) -> None:
    """Set back, its initiations look like old ones to whoever has not restarted."""
    net, a, b = pair(nat("203.0.113.10"), nat("203.0.113.20"))
    net.send(a, b, b"before")
    net.run(10.0)
    a.epoch += jump
    net.restart(a)
    net.run(1.0)

    sender, receiver = (a, b) if first == "the restarted one" else (b, a)
    before = len(receiver.received)
    sent = stream(net, sender, receiver, 500)
    assert sent[-400:] == sorted(payloads(receiver)[before:])[-400:]


def test_a_peer_that_leaves_the_netmap_is_forgotten_and_may_come_back() -> None:
    net, a, b = direct_pair()
    alone = Netmap("node-a", (a.overlay,), (), net.netmap(a).regions)
    net.perform(a, a.mesh.set_netmap(alone, net.now))
    before = len(b.received)
    net.send(a, b, b"nobody there")
    net.run(1.0)
    assert len(b.received) == before
    assert a.mesh.all_counters["no_peer_for_destination"] == 1
    assert a.kind(b) == "none"

    net.perform(a, a.mesh.set_netmap(net.netmap(a), net.now))
    sent = stream(net, a, b, 100)
    assert sorted(payloads(b)[before:]) == sent


def test_a_link_change_starts_the_search_anew() -> None:
    net, a, b = direct_pair()
    a.nat = port_restricted("203.0.113.99")
    a.endpoint = Endpoint("192.168.9.10", a.endpoint.port)
    net.perform(a, a.mesh.link_changed(net.now, [a.endpoint]))
    before = len(b.received)
    sent = stream(net, a, b, 100)
    assert sorted(payloads(b)[before:]) == sent
    assert b.events_of("path")[-1].fields["via"] == "203.0.113.99:41641"


# --- what is told of secrets ---


def test_private_and_preshared_keys_are_in_no_event_and_no_status() -> None:
    net, a, b = pair(None, None)
    preshared = bytes(range(100, 132))
    for machine in (a, b):
        [peer] = net.netmap(machine).peers
        sharing = replace(net.netmap(machine), peers=(replace(peer, preshared_key=preshared),))
        net.perform(machine, machine.mesh.set_netmap(sharing, net.now))
    stream(net, a, b, 50)
    net.ping(a, b, ask=1)
    net.run(1.0)
    assert a.answers != []  # so the preshared key was the same, and in use

    told = f"{a.events} {a.answers} {a.mesh.status(net.now)} {a.mesh.roster.configs}"
    assert a.key.raw.hex() in told  # the control: the public one is
    for secret in (a.private.raw, preshared):
        forms = secret.hex(), base64.b64encode(secret).decode(), repr(secret)[2:-1]
        assert [form for form in forms if form in told] == []


# --- a person asks ---


def test_a_ping_is_answered_by_the_relay_first_and_directly_later() -> None:
    net, a, b = pair(port_restricted("203.0.113.10"), port_restricted("203.0.113.20"))
    net.ping(a, b, ask=1)
    net.run(1.0)
    net.ping(a, b, ask=2)
    net.run(1.0)
    [first, second] = [answer for _, answer in a.answers]
    assert (first.ask, first.via) == (1, 900)
    assert (second.ask, second.via) == (2, Endpoint("203.0.113.20", 41641))
    assert round(second.rtt, 6) == 0.020


def test_a_ping_to_a_peer_that_is_not_there_is_never_answered_and_forgotten() -> None:
    net, a, b = pair(port_restricted("203.0.113.10"), port_restricted("203.0.113.20"))
    net.cut_relays.add(("node-b", 900))
    net.ping(a, b, ask=1)
    net.run(20.0)
    assert a.answers == []
    assert len(a.mesh.asks) == 0


# --- what is not believed ---


@pytest.mark.parametrize("inside", ["100.64.2.20", "10.20.0.5"], ids=["its own", "a subnet's"])
def test_an_endpoint_inside_the_tunnel_is_never_pinged(inside: str) -> None:
    net, a, b = direct_pair()
    [behind_b] = net.netmap(a).peers
    routed = replace(behind_b, allowed_ips=(*behind_b.allowed_ips, "10.20.0.0/16"))
    net.perform(a, a.mesh.set_netmap(replace(net.netmap(a), peers=(routed,)), net.now))
    net.perform(b, b.mesh.set_local_endpoints([Endpoint(inside, 41641)], net.now))
    pinged: list[str] = []

    def watch(machine: Machine, to: Endpoint, datagram: bytes) -> bool:
        pinged.append(to.address)
        return False

    net.lost = watch
    net.perform(b, b.mesh.link_changed(net.now))
    stream(net, a, b, 100)
    assert inside not in pinged
    assert "203.0.113.20" in pinged


def test_disco_of_a_stranger_changes_nothing() -> None:
    net, a, b = direct_pair()
    stranger = DiscoBox(DiscoPrivate(bytes(range(32))))
    ping = stranger.seal(Ping(bytes(12), b.key), a.mesh.disco_key, bytes(24))
    assert a.mesh.receive_udp([ping], Endpoint("192.0.2.66", 1), net.now) == []
    assert a.mesh.all_counters["disco_unknown"] == 1


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=3), st.booleans())
@settings(max_examples=50)
def test_any_bytes_from_anywhere_do_no_harm(datagrams: list[bytes], relayed: bool) -> None:
    net, a, b = pair(None, None)
    if relayed:
        net.perform(a, a.mesh.receive_relay(900, b.key, datagrams, net.now))
    else:
        net.perform(a, a.mesh.receive_udp(datagrams, Endpoint("192.0.2.66", 1), net.now))
    net.send(a, b, b"still here")
    net.run(1.0)
    assert payloads(b) == [b"still here"]


def test_the_counters_tell_which_path_the_traffic_took() -> None:
    net, a, b = pair(port_restricted("203.0.113.10"), port_restricted("203.0.113.20"))
    stream(net, a, b, count=50)
    sent, received = a.mesh.all_counters, b.mesh.all_counters
    for kind in ("derp", "direct_ipv4"):
        assert sent[f"outbound_packets_{kind}"] > 0
        assert sent[f"outbound_bytes_{kind}"] == received[f"inbound_bytes_{kind}"]
        assert sent[f"outbound_packets_{kind}"] == received[f"inbound_packets_{kind}"]
    assert received["inbound_packets_peer_relay_ipv4"] == 0
