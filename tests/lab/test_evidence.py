"""What a capture proves, from packets made by hand: losses, the way of each packet, upgrades, plaintext."""

from __future__ import annotations

from collections.abc import Sequence

from lab.capture import events, pcapng
from lab.capture.reading import Counted, Interface, Item, Packet
from lab.capture.repeats import ip_packet
from lab.judge.evidence import Evidence, evidence
from lab.judge.recording import recording
from lab.judge.transits import Transit, counted, transits
from lab.view import evidence as view
from lab.view.sequence import sequence

A, B = b"\x64\x40\1\x0a", b"\x64\x40\2\x14"  # 100.64.1.10, 100.64.2.20
A_HOME, B_HOME = b"\xc0\xa8\1\x0a", b"\xc0\xa8\2\x0a"
TUN_A, TUN_B = (Interface(f"node-{x}/ts0", pcapng.RAW_IP) for x in "ab")
LINK_A, LINK_B = (Interface(f"node-{x}/eth0", pcapng.ETHERNET) for x in "ab")
EVENTS = Interface("lab/events", pcapng.UPPER_PDU)
OUT, IN = pcapng.OUTBOUND, pcapng.INBOUND
DISCO = b"TS\xf0\x9f\x92\xac"


# --- counting


def test_what_went_in_and_never_came_out_is_lost() -> None:
    [flow] = seen(*through(0, 1.0, 1.1), *through(1, 2.0), *through(2, 3.0, 3.1)).flows

    assert (flow.source, flow.target) == ("node-a", "node-b")
    assert (flow.counts.sent, flow.counts.lost) == (3, 1)
    assert flow.routes == {"relay": 2, "none": 1}


def test_what_came_out_twice_is_a_duplicate() -> None:
    [flow] = seen(*through(0, 1.0, 1.1, 1.2), *through(1, 2.0, 2.1)).flows
    assert (flow.counts.sent, flow.counts.lost, flow.counts.duplicated) == (2, 0, 1)


def test_what_arrives_after_a_later_one_is_reordered() -> None:
    [flow] = seen(*through(0, 1.0, 1.5), *through(1, 1.1, 1.2), *through(2, 1.3, 1.6)).flows
    assert (flow.counts.reordered, flow.counts.lost) == (1, 0)


def test_equal_packets_come_out_in_the_order_in_which_they_went_in() -> None:
    same = [*through(0, 1.0, 1.1), *through(0, 2.0, 2.1), *through(0, 3.0)]
    assert [each.received for each in transits(recording(end(same)))] == [(1.1,), (2.1,), ()]


def test_what_may_still_be_on_its_way_is_not_lost_yet() -> None:
    [flow] = evidence(recording([*through(0, 1.0, 1.1), *through(1, 1.9), counted_at(2.0)])).flows
    assert (flow.counts.sent, flow.counts.lost) == (1, 0)
    [flow] = evidence(recording([*through(0, 1.0, 1.1), *through(1, 1.9), counted_at(9.0)])).flows
    assert (flow.counts.sent, flow.counts.lost) == (2, 1)


def test_a_silence_is_told_beside_the_senders_own_pauses() -> None:
    times = [(1.0, 1.1), (1.2, 1.3), (1.4, 2.5), (1.6, 2.6)]
    counts = counted([Transit("a", "b", sent, (there,), 100) for sent, there in times])
    assert (round(counts.longest_silence, 6), round(counts.longest_pause, 6)) == (1.2, 0.2)


def test_udp_is_known_again_by_all_but_its_checksum() -> None:
    unfinished = ip_packet(A, B, (5000, 5001), b"a datagram")
    finished = unfinished[:26] + b"\x12\x34" + unfinished[28:]
    items = [Packet(TUN_A, 1.0, unfinished, 38, OUT), Packet(TUN_B, 1.1, finished, 38, IN)]
    assert [each.received for each in transits(recording(end(items)))] == [(1.1,)]


def test_tcp_strangers_and_multicast_are_not_counted() -> None:
    tcp = echo(0)[:9] + b"\x06" + echo(0)[10:]
    outside = ip_packet(A_HOME, B, (1, 1), b"")
    to_all = ip_packet(A, b"\xe0\0\0\x16", (1, 1), b"")
    items = [Packet(TUN_A, 1.0, data, 84, OUT) for data in (tcp, outside, to_all, b"", b"\x45")]
    assert seen(*items).flows == ()


def test_without_anybody_who_has_the_address_it_is_named_by_it() -> None:
    [flow] = seen(*through(0, 1.0)).flows
    assert (flow.target, flow.counts.lost) == ("100.64.2.20", 1)


# --- the way


def test_a_packet_that_leaves_as_wireguard_is_direct_and_any_other_relayed() -> None:
    items = [*through(0, 1.0, 1.2), *through(1, 2.0, 2.2), sealed(2.1)]
    assert [each.route for each in transits(recording(end(items)))] == ["relay", "direct"]


def test_the_message_is_of_the_latest_packet_that_it_can_carry() -> None:
    items = [
        *through(0, 1.0, 1.5),
        *through(1, 1.1, 1.3),
        sealed(1.2),
    ]  # the first is still on its way
    assert [each.route for each in transits(recording(end(items)))] == ["relay", "direct"]


def test_a_message_of_another_size_or_after_the_arrival_carries_something_else() -> None:
    items = [*through(0, 1.0, 1.2), sealed(1.1, size=64), sealed(1.3)]
    assert [each.route for each in transits(recording(end(items)))] == ["relay"]


def test_what_goes_by_a_peer_relay_is_known_by_its_geneve_header() -> None:
    items = [*through(0, 1.0, 1.2), sealed(1.1, geneve=True)]
    assert [each.route for each in transits(recording(end(items)))] == ["peer-relay"]


# --- changes and upgrades


def test_each_change_of_path_has_the_packets_of_the_second_around_it() -> None:
    far, near, lost = through(0, 1.0, 1.1), through(1, 4.5, 4.6), through(2, 5.5)
    moved = [path(1.0, "relay", "nyc"), path(5.0, "direct", "203.0.113.20:1")]
    first, change = seen(*far, *near, *lost, *moved).changes

    assert (first.was, first.now) == (None, "relay")
    assert (change.at, change.was, change.now) == (5.0, "relay", "direct")
    assert (change.there.sent, change.there.lost, change.back.sent) == (2, 1, 0)


def test_an_upgrade_is_told_step_by_step() -> None:
    [upgrade] = upgraded().upgrades

    assert (upgrade.a, upgrade.b, upgrade.relay) == ("node-a", "node-b", "nyc")
    assert [(step.at, step.source, step.what) for step in upgrade.steps] == [
        (1.0, "node-a", "first packet, over DERP(nyc)"),
        (1.2, "node-b", "CallMeMaybe, over DERP(nyc)"),
        (1.3, "node-a", "first ping, to 203.0.113.20:41641"),
        (1.4, "node-b", "first pong, from 203.0.113.20:41641"),
        (1.5, "node-a", "moves to 203.0.113.20:41641"),
        (1.6, "node-a", "last relayed packet arrives (of 2)"),
        (2.0, "node-a", "first direct packet"),
    ]


def test_the_same_as_a_sequence_diagram() -> None:
    [upgrade] = upgraded().told()["upgrades"]
    assert sequence(upgrade).splitlines()[:8] == [
        "sequenceDiagram",
        "    participant m0 as node-a",
        "    participant m1 as nyc",
        "    participant m2 as node-b",
        "    m0-->>m1: 0.0 ms first packet, over DERP(nyc)",
        "    m1-->>m2: .",
        "    m2-->>m1: 200.0 ms CallMeMaybe, over DERP(nyc)",
        "    m1-->>m0: .",
    ]


def test_what_ends_a_mermaid_message_is_written_otherwise() -> None:
    step = {"at": 1.0, "source": "a", "target": "b", "what": "one; two #3", "way": "try"}
    upgrade = {"a": "a", "b": "b", "relay": "nyc", "begins": 1.0, "steps": [step]}
    assert sequence(upgrade).splitlines()[-1] == "    m0--)m2: 0.0 ms one#59; two #35;3"


# --- plaintext


def test_what_is_sealed_is_found_in_the_tunnels_alone() -> None:
    found = seen(*through(0, 1.0, 1.2), sealed(1.1)).plaintext

    assert (found.found_on_links, found.found_in_tunnels) == (
        {},
        {"node-a/ts0": 1, "node-b/ts0": 1},
    )
    assert found.is_proof


def test_what_is_not_sealed_is_found_on_its_link() -> None:
    leak = Packet(LINK_B, 1.1, ethernet(ip_packet(A_HOME, B_HOME, (1, 1), echo(0))), 126, IN)
    found = seen(*through(0, 1.0, 1.2), leak).plaintext

    assert found.found_on_links == {"node-b/eth0": 1}
    assert not found.is_proof


def test_a_text_that_was_never_in_a_tunnel_proves_nothing() -> None:
    found = evidence(recording(end(through(0, 1.0, 1.2))), [b"something else"]).plaintext
    assert (found.searched_for, found.found_on_links, found.is_proof) == (1, {}, False)


# --- the report


def test_the_report_says_it_in_words() -> None:
    report = view.text(upgraded().told(), "made.pcapng")

    assert report.startswith("made.pcapng: 10 packets in ")
    assert "  node-a -> node-b  3 sent, 0 lost, 0 duplicated, 0 reordered" in report
    assert "2 relayed, 1 direct" in report
    assert "  1.500  node-a to node-b: relay -> direct via 203.0.113.20:41641" in report
    assert "   500.0 ms  node-a -> node-b  moves to 203.0.113.20:41641" in report
    assert "outside the tunnels: not found; in the tunnels, for control: node-a/ts0" in report


def test_an_empty_capture_has_a_report_too() -> None:
    told = evidence(recording([])).told()
    assert view.text(told, "empty.pcapng").splitlines() == [
        "empty.pcapng: 0 packets in 0.0 s, none missed",
        "",
        "nothing went through a tunnel, TCP aside",
        "",
        "plaintext: nothing went through a tunnel that could be searched for",
    ]


def test_what_the_capture_missed_is_said() -> None:
    told = evidence(recording([Counted(TUN_A, 1.0, 7)])).told()
    assert "it missed 7 more, which may seem lost below" in view.text(told, "made.pcapng")


def upgraded() -> Evidence:
    """Two packets over the relay, the second of them late; then a direct one."""
    return seen(
        *through(0, 1.0, 1.1),
        path(1.05, "relay", "nyc"),
        event(1.2, "call_me_maybe", direction="received"),
        Packet(LINK_A, 1.3, disco(A_HOME, B_PUBLIC, 124), 166, OUT),
        Packet(LINK_A, 1.4, disco(B_PUBLIC, A_HOME, 110), 152, IN),
        *through(1, 1.45, 1.6),
        path(1.5, "direct", "203.0.113.20:41641"),
        *through(2, 2.0, 2.1),
        sealed(2.01),
        Packet(LINK_B, 2.05, disco(B_HOME, A_HOME, 60), 102, OUT),
    )


B_PUBLIC = b"\xcb\0\x71\x14"
PORT = 41641


def seen(*items: Item) -> Evidence:
    return evidence(recording(end(items)))


def end(items: Sequence[Item]) -> list[Item]:
    """Long after everything."""
    return [*items, counted_at(100.0)]


def counted_at(at: float) -> Counted:
    return Counted(TUN_A, at, 0)


def through(number: int, sent: float, *received: float) -> list[Item]:
    """One echo request into node-a's tunnel, and as often out of node-b's."""
    data = echo(number)
    went = Packet(TUN_A, sent, data, len(data), OUT)
    return [went, *(Packet(TUN_B, at, data, len(data), IN) for at in received)]


def echo(number: int) -> bytes:
    icmp = (
        b"\x08\0\0\0\0\1"
        + number.to_bytes(2, "big")
        + b"a payload that nobody outside may read".ljust(56, b".")
    )
    head = ip_packet(A, B, (0, 0), b"")
    return head[:9] + b"\x01" + head[10:20] + icmp


def sealed(at: float, size: int = 96, geneve: bool = False) -> Packet:
    message = b"\4\0\0\0" + bytes(12 + size + 16)
    wrapped = b"\0\0\x7a\x12" + bytes(4) + message if geneve else message
    data = ethernet(ip_packet(A_HOME, B_PUBLIC, (PORT, PORT), wrapped))
    return Packet(LINK_A, at, data, len(data), OUT)


def disco(source: bytes, target: bytes, size: int) -> bytes:
    return ethernet(ip_packet(source, target, (PORT, PORT), DISCO.ljust(size, b"\0")))


def ethernet(ip: bytes) -> bytes:
    return bytes(12) + b"\x08\x00" + ip


def path(at: float, kind: str, via: str) -> Packet:
    return event(at, "path", kind=kind, via=via)


def event(at: float, name: str, **fields: str) -> Packet:
    told = {"at": at, "host": "node-a", "event": name, "peer": "node-b", **fields}
    data = events.payload(told)
    return Packet(EVENTS, at, data, len(data), 0)
