"""A client's side of a DERP connection: both ways in, packets, silence, and whatever comes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.core.http_upgrade import switching_protocols
from node.core.relay_client import Phase, RelayClient
from node.core.relay_events import (
    Output,
    PacketsReceived,
    PeerGone,
    PeerPresent,
    RelayDown,
    RelayHealth,
    RelayPong,
    RelayQuiet,
    RelayUp,
    SendBytes,
)
from node.wire import derp, derp_framing
from node.wire.derp_login import ServerDetails, seal
from tests.node.relay_rig import SERVER, A, B, C, Rig, client_info, fixed_random, send

UP = RelayUp(SERVER.public)


def new_client() -> RelayClient:
    return RelayClient(A, "derp.test", random=fixed_random)


def server_info(details: ServerDetails | None = None) -> bytes:
    box = seal((details or ServerDetails()).pack(), bytes(24), SERVER, A.public)
    return derp.ServerInfo(box).pack()


def recv(packet: bytes) -> bytes:
    return derp.RecvPacket(B.public, packet).pack()


GREETING = derp.ServerKey(SERVER.public).pack() + server_info()


def client_up(details: ServerDetails | None = None) -> RelayClient:
    client = new_client()
    client.start(SERVER.public, now=0.0)
    greeting = derp.ServerKey(SERVER.public).pack() + server_info(details)
    assert client.receive(greeting, now=0.1) == [UP]
    return client


def sent(outputs: Sequence[Output]) -> bytes:
    return b"".join(output.data for output in outputs if isinstance(output, SendBytes))


# --- two ways in ---


def test_the_slow_way_waits_for_the_server_key() -> None:
    client = new_client()
    [request] = client.start(None, now=0.0)
    assert isinstance(request, SendBytes)
    assert request.data.startswith(b"GET /derp HTTP/1.1\r\nHost: derp.test\r\nUpgrade: DERP\r\n")
    assert b"Fast-Start" not in request.data
    assert not client.can_send
    assert client.receive(switching_protocols(SERVER.public), now=0.1) == []
    login = client.receive(derp.ServerKey(SERVER.public).pack(), now=0.1)
    assert login == [SendBytes(client_info(A))]
    assert client.receive(server_info(), now=0.2) == [UP]


def test_the_fast_way_puts_everything_into_one_flight() -> None:
    client = new_client()
    [flight] = client.start(SERVER.public, now=0.0)
    assert isinstance(flight, SendBytes)
    assert b"\r\nDerp-Fast-Start: 1\r\n" in flight.data
    assert flight.data.endswith(b"\r\n\r\n" + client_info(A))
    assert client.can_send
    assert client.receive(GREETING, now=0.1) == [UP]


@pytest.mark.parametrize("fast", [True, False])
def test_the_answer_split_at_every_byte(fast: bool) -> None:
    answer = (b"" if fast else switching_protocols(SERVER.public)) + GREETING + recv(b"hello")
    for cut in range(len(answer) + 1):
        client = new_client()
        client.start(SERVER.public if fast else None, now=0.0)
        outputs = client.receive(answer[:cut], now=0.1) + client.receive(answer[cut:], now=0.2)
        events = [output for output in outputs if not isinstance(output, SendBytes)]
        assert events == [UP, PacketsReceived(B.public, [b"hello"])]


def test_a_real_server_and_a_real_client_agree() -> None:
    rig = Rig()
    for key in (SERVER.public, None):
        client, link = new_client(), rig.connect()
        to_server = sent(client.start(key, now=0.0))
        events: list[Output] = []
        while to_server:
            rig.feed(link, to_server)
            outputs = client.receive(rig.stream(link), now=0.1)
            to_server = sent(outputs)
            events += [output for output in outputs if not isinstance(output, SendBytes)]
        assert events == [UP]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        b"HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"x" * 20_000,
        switching_protocols(SERVER.public)
        + derp_framing.pack_frame(derp_framing.SERVER_KEY, bytes(40)),
        switching_protocols(SERVER.public)
        + derp_framing.HEADER.pack(derp_framing.SERVER_KEY, 1 << 30),
    ],
)
def test_what_is_no_relay_is_left(answer: bytes) -> None:
    client = new_client()
    client.start(None, now=0.0)
    [down] = client.receive(answer, now=0.1)
    assert isinstance(down, RelayDown)
    assert client.phase is Phase.DOWN
    assert client.receive(GREETING, now=0.2) == []


def test_a_server_info_that_does_not_open_ends_it() -> None:
    client = new_client()
    client.start(C.public, now=0.0)  # the wrong key, from a wrong meta certificate
    [down] = client.receive(GREETING, now=0.1)
    assert isinstance(down, RelayDown)


def test_hung_up_on_at_the_login() -> None:
    client = new_client()
    client.start(SERVER.public, now=0.0)
    [down] = client.closed("it hung up")
    assert isinstance(down, RelayDown)
    assert "may not admit this key" in down.why
    assert client.closed("again") == []


# --- up ---


def test_packets_leave_as_one_write_and_not_before_the_login() -> None:
    client = new_client()
    assert client.packets(B.public, [b"early"], now=0.0) == b""
    client.start(SERVER.public, now=0.0)
    packets = [b"hello", b"world", b"!"]
    assert client.packets(B.public, packets, now=0.1) == b"".join(send(B, p) for p in packets)
    assert client.packets(B.public, [bytes(65_537)], now=0.1) == b""


def test_packets_arrive_in_one_batch_for_each_run_of_one_sender() -> None:
    client = client_up()
    others = derp.RecvPacket(C.public, b"x").pack()
    stream = recv(b"1") + recv(b"2") + recv(b"long") + others + recv(b"3")
    assert client.receive(stream, now=1.0) == [
        PacketsReceived(B.public, [b"1", b"2", b"long"]),
        PacketsReceived(C.public, [b"x"]),
        PacketsReceived(B.public, [b"3"]),
    ]


def test_what_the_relay_says_of_peers_and_of_itself() -> None:
    client = client_up()
    frames: list[tuple[derp.Frame, list[Output]]] = [
        (derp.PeerGone(B.public, 1), [PeerGone(B.public, 1)]),
        (derp.PeerPresent(B.public), [PeerPresent(B.public)]),
        (derp.Health("dup"), [RelayHealth("dup")]),
        (derp.KeepAlive(), []),
        (derp.ServerKey(C.public), []),
        (derp.Ping(b"12345678"), [SendBytes(derp.Pong(b"12345678").pack())]),
        (derp.Restarting(1.0, 5.0), [RelayDown("the relay is restarting", retry=True)]),
    ]
    for frame, outputs in frames:
        assert client.receive(frame.pack(), now=1.0) == outputs


def test_an_unknown_frame_is_skipped_and_counted() -> None:
    client = client_up()
    assert client.receive(derp_framing.pack_frame(0x7F, b"later") + recv(b"1"), now=1.0) == [
        PacketsReceived(B.public, [b"1"])
    ]
    assert client.counters["unknown_frames"] == 1


def test_a_ping_measures_the_way_to_the_relay() -> None:
    client = client_up()
    [ping] = client.ping(now=1.0)
    assert ping == SendBytes(derp.Ping(bytes(8)).pack())
    assert client.ping(now=1.1) == []
    assert client.receive(derp.Pong(b"another!").pack(), now=1.1) == []
    assert client.receive(derp.Pong(bytes(8)).pack(), now=1.5) == [RelayPong(rtt=0.5)]
    assert client.receive(derp.Pong(bytes(8)).pack(), now=1.6) == []


def test_a_rate_limit_of_the_server_drops_and_does_not_wait() -> None:
    client = client_up(ServerDetails(bytes_per_second=100, bytes_burst=84))
    assert client.packets(B.public, [b"hello"] * 3, now=0.1) == send(B, b"hello") * 2
    assert client.counters["dropped_by_rate"] == 1
    assert client.packets(B.public, [b"hello"], now=0.6) == send(B, b"hello")


def test_home_is_said_only_once_logged_in() -> None:
    assert new_client().note_preferred(True) == []
    assert client_up().note_preferred(True) == [SendBytes(derp.NotePreferred(True).pack())]


# --- time ---


@pytest.mark.parametrize("key", [SERVER.public, None])
def test_a_login_takes_10_seconds_at_most(key: object) -> None:
    client = new_client()
    client.start(SERVER.public if key else None, now=5.0)
    assert client.deadline == 15.0
    assert client.tick(14.9) == []
    [down] = client.tick(15.0)
    assert isinstance(down, RelayDown)
    assert client.deadline is None


def test_120_seconds_of_silence_end_it_and_any_frame_counts() -> None:
    client = client_up()
    assert client.deadline == 120.1
    client.receive(derp.KeepAlive().pack(), now=60.0)
    assert client.tick(120.1) == []
    assert client.deadline == 180.0
    assert client.tick(180.0) == [RelayDown("the relay was silent for 120 s", retry=True)]


def test_an_unanswered_ping_finds_a_half_open_connection_in_5_seconds() -> None:
    client = client_up()
    client.ping(now=10.0)
    assert client.tick(10.5) == [RelayQuiet()]
    assert client.deadline == 15.0
    assert client.tick(14.9) == []
    [down] = client.tick(15.0)
    assert isinstance(down, RelayDown)
    assert client.deadline is None


@pytest.mark.parametrize(("round_trip", "patience"), [(0.02, 0.5), (0.3, 1.2)])
def test_a_ping_is_overdue_after_half_a_second_or_four_round_trips(
    round_trip: float, patience: float
) -> None:
    client = client_up()
    client.ping(now=1.0)
    assert client.receive(derp.Pong(bytes(8)).pack(), now=1.0 + round_trip)
    client.ping(now=10.0)
    assert client.deadline == 10.0 + patience
    assert client.tick(10.0 + patience) == [RelayQuiet()]


def test_a_ping_that_is_answered_in_time_is_never_overdue() -> None:
    client = client_up()
    client.ping(now=10.0)
    client.receive(derp.Pong(bytes(8)).pack(), now=10.4)
    assert client.tick(10.6) == []
    assert client.deadline == 130.4


# --- whatever comes ---


@given(st.booleans(), st.booleans(), st.lists(st.binary(max_size=200), max_size=6))
@settings(max_examples=300)
def test_no_bytes_break_the_client(fast: bool, up: bool, chunks: list[bytes]) -> None:
    client = client_up() if up else new_client()
    if not up:
        client.start(SERVER.public if fast else None, now=0.0)
    outputs = [output for chunk in chunks for output in client.receive(chunk, now=1.0)]
    assert sum(isinstance(output, RelayDown) for output in outputs) <= 1


@given(st.lists(st.tuples(st.integers(0, 0x20), st.binary(max_size=90)), max_size=10))
@settings(max_examples=300)
def test_no_frames_break_the_client(frames: list[tuple[int, bytes]]) -> None:
    client = client_up()
    for kind, payload in frames:
        client.receive(derp_framing.pack_frame(kind, payload), now=1.0)
    if client.phase is Phase.UP:
        assert client.receive(recv(b"1"), now=2.0) == [PacketsReceived(B.public, [b"1"])]
