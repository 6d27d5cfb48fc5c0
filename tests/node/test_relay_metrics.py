"""What a relay tells Prometheus: the names that dashboards for DERP know, and that the numbers move."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from node.core.metrics import Histogram, Metric, text
from node.core.relay_outbox import Outbox
from node.core.relay_server import RelayServer
from node.io.loop import Loop
from node.io.relay_numbers import RelayNumbers
from node.wire import derp, derp_framing, stun
from node.wire.derp_login import ClientDetails
from tests.node.relay_rig import (
    DISCO,
    FAST,
    MESH_KEY,
    SERVER,
    A,
    B,
    C,
    Rig,
    client_info,
    fixed_random,
    key,
    send,
)
from tests.node.running_relay import PATIENCE, RunningRelay, free_port

GAUGES = """
    gauge_memstats_sys0 gauge_watchers gauge_current_file_descriptors gauge_current_connections
    gauge_current_home_connections gauge_current_notideal_connections gauge_clients_total
    gauge_clients_local gauge_clients_remote gauge_current_dup_client_keys
    gauge_current_dup_client_conns version
"""
COUNTERS = """
    counter_total_dup_client_conns accepts bytes_received bytes_sent packets_sent packets_received
    counter_packets_received_kind unknown_frames home_moves_in home_moves_out got_ping sent_pong
    peer_gone_disconnected_frames peer_gone_not_here_frames packets_forwarded_in
    packets_forwarded_out multiforwarder_created multiforwarder_deleted
    packet_forwarder_delete_other_value sclient_write_timeouts counter_tcp_rtt packets_dropped
    bytes_dropped websocket_accepts
"""


@pytest.fixture(scope="module")
def relay() -> Iterator[RunningRelay]:
    port = free_port(socket.SOCK_DGRAM)
    relay = RunningRelay("--self-signed", "--stun-port", str(port))
    yield relay
    assert relay.stop() == 0


@pytest.fixture
def rig() -> Rig:
    return Rig(RelayServer(SERVER, random=fixed_random, mesh_key=MESH_KEY))


# --- a relay that runs ---


def test_all_names_are_there_with_their_types(relay: RunningRelay) -> None:
    _, _, page = relay.get("/metrics").partition("\r\n\r\n")
    typed = dict(line.split()[2:] for line in page.splitlines() if line.startswith("# TYPE "))
    known = {f"derp_{name}": "gauge" for name in GAUGES.split()}
    known |= {f"derp_{name}": "counter" for name in COUNTERS.split()}
    known |= {"stun_counter_requests": "counter", "stun_counter_addrfamily": "counter"}
    known |= {"derp_counter_mesh_update_batch_size": "histogram"}
    assert {name: typed.get(name) for name in known} == known


def test_stun_is_counted_by_what_became_of_it(relay: RunningRelay) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(PATIENCE)
        for datagram in (b"no stun at all", stun.request(bytes(12))):
            udp.sendto(datagram, ("127.0.0.1", relay.ready["stun"]))
        udp.recv(1500)
    assert relay.metric('stun_counter_requests{disposition="success"}') == 1
    assert relay.metric('stun_counter_requests{disposition="not_stun"}') == 1
    assert relay.metric('stun_counter_addrfamily{family="ipv4"}') == 1
    assert relay.metric('stun_counter_addrfamily{family="ipv6"}') == 0


def test_descriptors_follow_the_connections(relay: RunningRelay) -> None:
    before = relay.metric("derp_gauge_current_file_descriptors")
    with relay.tls(), relay.tls():
        assert relay.metric("derp_gauge_current_file_descriptors") == before + 2


def test_round_trip_times_are_what_the_kernel_says() -> None:
    loop = Loop()
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as near,
        listener.accept()[0] as far,
    ):
        near.sendall(b"anything")
        far.recv(100)
        numbers = RelayNumbers(loop, [], lambda: [near, far])
        numbers.sample()
        counts = {each.name: each for each in numbers.metrics()}["derp_counter_tcp_rtt"].samples
    loop.close()
    assert counts['{le="+Inf"}'] == 2
    assert counts['{le="0.5"}'] == 2  # nothing on a loopback takes longer


# --- what the server counts ---


def test_packets_are_told_apart_by_kind(rig: Rig) -> None:
    a, _ = rig.login(A), rig.login(B)
    rig.feed(a, send(B, DISCO) + send(B, bytes(62)) + send(B, DISCO) + send(B, b"hello"))
    assert values(rig)['derp_counter_packets_received_kind{kind="disco"}'] == 2
    assert values(rig)['derp_counter_packets_received_kind{kind="other"}'] == 2


def test_what_is_dropped_is_counted_in_packets_and_bytes(rig: Rig) -> None:
    a = rig.login(A)
    rig.feed(a, send(C, bytes(100)) + send(C, bytes(200)) + send(C, DISCO))
    assert values(rig)['derp_packets_dropped{reason="unknown_dest",kind="other"}'] == 2
    assert values(rig)['derp_bytes_dropped{reason="unknown_dest",kind="other"}'] == 300
    assert values(rig)['derp_bytes_dropped{reason="unknown_dest",kind="disco"}'] == 62


def test_packets_that_a_broken_connection_took_along_are_write_errors() -> None:
    outbox = Outbox()
    outbox.lose("write_error", derp.RecvPacket(A.public, bytes(100)).pack() * 2)
    assert outbox.drops is not None
    assert outbox.drops.packets == {("write_error", "other"): 2}
    assert outbox.drops.bytes == {("write_error", "other"): 200}


def test_clients_that_two_relays_know_are_counted_as_they_come_and_go(rig: Rig) -> None:
    mesh = rig.server.mesh
    for relay in ("fra", "sin"):
        mesh.peer_present(relay, A.public)
    assert values(rig)["derp_multiforwarder_created"] == 1
    mesh.peer_gone("lon", A.public)  # which never had it
    mesh.peer_gone("fra", A.public)
    assert values(rig)["derp_multiforwarder_deleted"] == 1
    assert values(rig)["derp_packet_forwarder_delete_other_value"] == 1


def test_a_mesh_update_tells_of_all_who_are_here_and_then_of_one_at_a_time(rig: Rig) -> None:
    rig.login(A)
    rig.login(B)
    other = rig.login(C, ClientDetails(mesh_key=MESH_KEY))
    rig.feed(other, derp.WatchConns().pack())
    rig.login(key(0x61))
    batches = "derp_counter_mesh_update_batch_size"
    assert values(rig)[f"{batches}_count"] == 2
    assert values(rig)[f"{batches}_sum"] == 3 + 1


def test_frames_and_pings_are_counted(rig: Rig) -> None:
    a, _ = rig.login(A), rig.login(B)
    rig.feed(a, derp_framing.pack_frame(0x7F, b"future") + derp.Ping(b"12345678").pack())
    names = ("unknown_frames", "got_ping", "sent_pong", "accepts", "gauge_clients_local")
    assert [values(rig)[f"derp_{name}"] for name in names] == [1, 1, 1, 2, 2]


def test_gauges_follow_who_is_there(rig: Rig) -> None:
    home, _ = rig.login(A), rig.login(A)
    rig.feed(home, derp.NotePreferred(True).pack())
    elsewhere = rig.connect()
    rig.feed(elsewhere, NOT_IDEAL + client_info(B))
    other = rig.mesh_login(C)
    rig.feed(other, derp.WatchConns().pack())
    rig.server.mesh.peer_present("fra", key(0x61).public)
    assert gauges(rig) == {
        "current_connections": 4, "current_home_connections": 1, "current_notideal_connections": 1,
        "watchers": 1, "clients_total": 4, "clients_local": 3, "clients_remote": 1,
        "current_dup_client_keys": 1, "current_dup_client_conns": 2,
    }  # fmt: skip

    for link in (home, elsewhere, other):
        rig.hang_up(link)
    rig.handle(rig.server.mesh.lost("fra"))
    left = {name: value for name, value in gauges(rig).items() if value}
    assert left == {"current_connections": 1, "clients_total": 1, "clients_local": 1}


# --- the format ---


def test_labels_follow_the_name_and_a_type_comes_first() -> None:
    metric = Metric("derp_packets_dropped", "counter", {'{reason="queue_head"}': 17})
    assert text([metric]).splitlines() == [
        "# TYPE derp_packets_dropped counter",
        'derp_packets_dropped{reason="queue_head"} 17',
    ]


def test_the_buckets_of_a_histogram_are_cumulative() -> None:
    histogram = Histogram((1, 5))
    for value in (1, 2, 5, 7):
        histogram.count(value)
    assert list(histogram.buckets()) == [("1", 1), ("5", 3), ("+Inf", 4)]
    assert histogram.metric("x").samples["_sum"] == 15


# --- what the tests are made of ---


def values(rig: Rig) -> dict[str, float]:
    lines = [line for line in rig.server.metrics().splitlines() if not line.startswith("#")]
    return {series: float(value) for series, value in (line.rsplit(" ", 1) for line in lines)}


NOT_IDEAL = FAST.replace(b"\r\n\r\n", b"\r\nIdeal-Node: 900a\r\n\r\n")
GAUGE = "derp_gauge_"


def gauges(rig: Rig) -> dict[str, float]:
    found = values(rig).items()
    return {name.removeprefix(GAUGE): n for name, n in found if name.startswith(GAUGE)}
