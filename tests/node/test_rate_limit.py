"""What one client may send, and how many may come: the rules, and both over real sockets."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from node.core.rate_limit import MIN_BURST, BadRateLimit, Meter, RateLimit, parse_rate_limit
from node.core.relay_events import RelayPong, RelayUp
from node.core.relay_link import Pause
from node.core.relay_server import RelayServer
from node.io.loop import Loop
from tests.node.relay_rig import MESH_KEY, SERVER, A, B, Rig, fixed_random, send
from tests.node.running_relay import Client, RunningRelay, finished

LIMIT = RateLimit(bytes_per_second=10_000, burst=100_000)


# --- the file ---


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("{}", None),
        ('{"PerClientRateLimitBytesPerSec": 0, "PerClientRateBurstBytes": 9}', None),
        ('{"PerClientRateLimitBytesPerSec": 7}', RateLimit(7, MIN_BURST)),
        (
            '{"PerClientRateLimitBytesPerSec": 7, "PerClientRateBurstBytes": 80000}',
            RateLimit(7, 80_000),
        ),
    ],
)
def test_the_file(text: str, limit: RateLimit | None) -> None:
    assert parse_rate_limit(text) == limit


@pytest.mark.parametrize(
    "text", ["", "[]", '{"PerClientRateLimitBytesPerSec": -1}', '{"PerClientRateBurstBytes": "1"}']
)
def test_no_such_file(text: str) -> None:
    with pytest.raises(BadRateLimit):
        parse_rate_limit(text)


# --- the rules ---


def test_a_burst_is_free_and_what_is_over_it_waits() -> None:
    meter = Meter(LIMIT, now=0.0)
    assert meter.spend(100_000, now=0.0) == 0.0
    assert meter.spend(5_000, now=0.0) == 0.5
    assert meter.spend(10_000, now=0.5) == 1.5
    assert meter.spend(0, now=100.0) == 100.0
    assert meter.spend(100_001, now=100.0) == pytest.approx(100.0001)


def limited(mesh_key: bytes | None = None) -> Rig:
    return Rig(RelayServer(SERVER, random=fixed_random, rate_limit=LIMIT, mesh_key=mesh_key))


def pauses(rig: Rig) -> list[float]:
    return [each.until - rig.now for each in rig.aside if isinstance(each, Pause)]


def test_a_client_over_its_rate_is_not_read_for_a_while() -> None:
    rig = limited()
    a = rig.login(A)
    for _ in range(3):
        rig.feed(a, send(B, bytes(45_000)))
    [pause] = pauses(rig)
    assert 3.5 < pause < 3.6  # 135 kB at once: 35 over the burst, at 10 a second


def test_relays_of_the_mesh_are_not_limited() -> None:
    rig = limited(MESH_KEY)
    peer = rig.mesh_login(A)
    for _ in range(3):
        rig.feed(peer, send(B, bytes(50_000)))
    assert pauses(rig) == []


def test_a_new_limit_holds_for_those_who_are_here() -> None:
    rig = limited()
    a = rig.login(A)
    rig.server.rate_limit = RateLimit(1_000_000, MIN_BURST)
    for _ in range(3):
        rig.feed(a, send(B, bytes(50_000)))
    assert [pause < 0.1 for pause in pauses(rig)] == [True, True]
    rig.server.rate_limit = None
    rig.aside.clear()
    for _ in range(30):
        rig.feed(a, send(B, bytes(50_000)))
    assert pauses(rig) == []


def test_connections_over_the_limit_are_not_accepted() -> None:
    server = RelayServer(SERVER, random=fixed_random, accepts=(2.0, 3.0))
    assert [server.may_accept(now=5.0) for _ in range(4)] == [True, True, True, False]
    assert [server.may_accept(now=5.5) for _ in range(2)] == [True, False]
    assert server.counters["accepts_over_limit"] == 2


# --- over real sockets ---


def test_a_flood_of_connections_is_cut_and_counted() -> None:
    relay = RunningRelay(
        "--self-signed", "--stun-port", "0",
        "--accept-connection-limit", "0.001", "--accept-connection-burst", "3",
    )  # fmt: skip
    kept = [relay.tls() for _ in range(3)]
    for _ in range(5):
        with pytest.raises(OSError, match=r"EOF|reset|Broken"):
            relay.tls()
    for tls in kept:
        tls.close()
    assert relay.stop() == 0


def test_the_rate_is_kept_and_read_again_on_sighup(tmp_path: Path, loop: Loop) -> None:
    config = tmp_path / "rate.json"
    config.write_text('{"PerClientRateLimitBytesPerSec": 1000000}')
    relay = RunningRelay("--self-signed", "--stun-port", "0", "--rate-config", str(config))
    client = Client(loop, relay.node(insecure_for_tests=True))
    client.wait_for(RelayUp)

    def send_a_megabyte() -> float:
        start = loop.now()
        for _ in range(16):
            client.connection.send_packets(client.public, [bytes(62_500)])
            client.connection.ping()
            client.wait_for(RelayPong)
        return loop.now() - start

    assert send_a_megabyte() > 0.8  # less the burst
    limited = relay.metric("derp_rate_limited")
    assert limited > 0

    assert relay.process.stderr is not None
    config.write_text("nonsense")
    relay.process.send_signal(signal.SIGHUP)
    assert relay.process.stderr.readline() == f"derper: --rate-config {config}: not JSON\n"
    config.write_text("{}")
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for("reloaded")
    send_a_megabyte()
    assert relay.metric("derp_rate_limited") == limited
    client.connection.close()
    assert relay.stop() == 0


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (("--accept-connection-limit", "0"), "--accept-connection-limit 0: not a number over 0"),
        (("--accept-connection-burst", "3"), "--accept-connection-burst needs"),
        (("--rate-config", "/nowhere"), "--rate-config /nowhere: No such file or directory"),
    ],
)
def test_what_is_given_wrongly_is_one_line(argv: tuple[str, ...], line: str) -> None:
    status, [said] = finished(
        "--hostname", "x", "--self-signed", "--listen", "127.0.0.1:0", "--stun-port", "0", *argv
    )
    assert status == 2
    assert said.startswith(f"derper: {line}")
