"""The relay as a program, over real sockets: TLS, both upgrades, slow readers, bad arguments."""

from __future__ import annotations

import os
import select
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from node.core.http_upgrade import switching_protocols
from node.core.relay_client import RelayClient
from node.core.relay_events import PacketsReceived, PeerGone, RelayPong, RelayUp, SendBytes
from node.io.loop import Loop
from node.keys import NodePrivate
from node.wire import derp, derp_framing
from tests.node.relay_rig import FAST, SLOW, client_info, send
from tests.node.running_relay import (
    DROPPED,
    HOST,
    PATIENCE,
    Authority,
    Client,
    RunningRelay,
    finished,
    free_port,
    new_key,
    read_to_end,
    receive_exactly,
    start,
    trusting,
)

T = TypeVar("T")
ANYWHERE = ["--listen", "127.0.0.1:0"]
SERVER_INFO_SIZE = derp_framing.HEADER_SIZE + 24 + 16 + len('{"version":2}')


def log_in(relay: RunningRelay, private: NodePrivate) -> ssl.SSLSocket:
    tls = relay.tls()
    tls.sendall(FAST + client_info(private, server=relay.key))
    greeting = derp.ServerKey(relay.key).pack()
    assert receive_exactly(tls, len(greeting)) == greeting
    assert receive_exactly(tls, SERVER_INFO_SIZE)[0] == derp_framing.SERVER_INFO
    return tls


# --- TLS and the upgrade ---


@pytest.mark.parametrize("request_", [SLOW, FAST], ids=["slow", "fast"])
def test_request_and_login_split_at_every_byte(relay: RunningRelay, request_: bytes) -> None:
    private = new_key()
    flight = request_ + client_info(private, server=relay.key)
    head = b"" if request_ == FAST else switching_protocols(relay.key)
    greeting = head + derp.ServerKey(relay.key).pack()
    context = trusting()
    for cut in range(1, len(flight), 1 if request_ == FAST else 5):
        with relay.tls(context) as tls:
            tls.sendall(flight[:cut])
            tls.sendall(flight[cut:])
            assert receive_exactly(tls, len(greeting)) == greeting
            assert receive_exactly(tls, SERVER_INFO_SIZE)[0] == derp_framing.SERVER_INFO


@pytest.mark.filterwarnings("ignore:Attribute's length")  # 71 characters, as DERP wants them
def test_the_meta_certificate_is_the_last_of_the_chain(
    relay: RunningRelay, authority: Authority
) -> None:
    context = ssl.create_default_context(cafile=str(authority.ca))
    with relay.tls(context) as tls:
        assert tls.version() == "TLSv1.3"
        inner: object = tls._sslobj  # type: ignore[attr-defined]
        chain = inner.get_unverified_chain()  # type: ignore[attr-defined]
    leaf, meta = [x509.load_pem_x509_certificate(c.public_bytes().encode()) for c in chain]
    assert leaf.subject.rfc4514_string() == f"CN={HOST}"
    [name] = meta.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "derpkey" + relay.key.raw.hex()
    assert meta.serial_number == 2
    meta.verify_directly_issued_by(meta)


def test_tls_1_2_is_the_oldest_spoken(relay: RunningRelay) -> None:
    context = trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with relay.tls(context) as tls:
        assert tls.version() == "TLSv1.2"
        tls.sendall(SLOW)
        assert receive_exactly(tls, 12) == b"HTTP/1.1 101"


def test_what_is_not_tls_is_hung_up_on(relay: RunningRelay) -> None:
    with relay.tcp() as tcp:
        tcp.sendall(SLOW)
        assert b"HTTP" not in read_to_end(tcp)


@pytest.mark.parametrize(
    ("path", "header", "expected"),
    [
        ("/derp/probe", "", "HTTP/1.1 200 OK\r\n"),
        ("/derp", "", "HTTP/1.1 426 Upgrade Required\r\n"),
        ("/generate_204", "", "HTTP/1.1 204 No Content\r\n"),
        ("/generate_204", "X-Tailscale-Challenge: a.b", "\r\nX-Tailscale-Response: response a.b"),
        ("/nothing", "", "HTTP/1.1 404 Not Found\r\n"),
    ],
)
def test_pages(relay: RunningRelay, path: str, header: str, expected: str) -> None:
    assert expected in relay.get(path, *filter(None, [header]))


def test_slow_loris_keeps_nobody_from_being_served(relay: RunningRelay) -> None:
    silent = [relay.tcp() for _ in range(100)]
    dripping = [relay.tls() for _ in range(20)]
    for tls in dripping:
        tls.sendall(b"GET /derp HT")
    with log_in(relay, new_key()) as tls:
        tls.sendall(derp.Ping(b"12345678").pack())
        assert receive_exactly(tls, 13) == derp.Pong(b"12345678").pack()
    for sock in (*silent, *dripping):
        sock.close()


# --- packets ---


def test_two_nodes_meet(relay: RunningRelay, authority: Authority, loop: Loop) -> None:
    a, b = (Client(loop, relay.node(), authority.ca) for _ in range(2))
    for client in (a, b):
        assert client.wait_for(RelayUp) == RelayUp(relay.key)
        assert client.connection.fast_start
    packets = [b"hello", bytes(1400), bytes(65_536)]
    a.connection.send_packets(b.public, packets)
    received: list[bytes] = []
    while len(received) < 3:
        event = b.wait_for(PacketsReceived)
        assert event.source == a.public
        received += event.packets
    assert received == packets

    a.connection.ping()
    assert 0 < a.wait_for(RelayPong).rtt < PATIENCE
    a.connection.close()
    assert b.wait_for(PeerGone) == PeerGone(a.public, 0)
    b.connection.close()


def test_ten_thousand_packets_arrive_in_order(relay: RunningRelay) -> None:
    """More than any buffer: the frames are cut everywhere, by TLS and by the reads."""
    alice, bob = new_key(), new_key()
    with log_in(relay, alice) as a, log_in(relay, bob) as b:
        received = 0
        for start in range(0, 10_000, 20):  # what is read before the next is written is never lost
            numbers = range(start, start + 20)
            packets = [n.to_bytes(4, "big") + bytes(n % 1400) for n in numbers]
            a.sendall(b"".join(send(bob, packet) for packet in packets))
            for packet in packets:
                expected = derp.RecvPacket(alice.public, packet).pack()
                assert receive_exactly(b, len(expected)) == expected
                received += 1
    assert received == 10_000


def test_a_reader_that_stops_loses_packets_then_its_connection_and_nobody_waits(
    relay: RunningRelay,
) -> None:
    alice, bob, carol = new_key(), new_key(), new_key()
    with log_in(relay, alice) as a, log_in(relay, bob) as b, log_in(relay, carol) as c:
        # Small ones follow each large one: once it waits for bob, more comes than a queue holds.
        batch = (send(bob, bytes(60_000)) + send(bob, b"small") * 40) * 100
        ping = derp.Ping(b"12345678").pack()
        dropped = relay.metric(DROPPED)
        timeouts = relay.metric("derp_sclient_write_timeouts")
        while relay.metric(DROPPED) == dropped:
            a.sendall(batch)  # never more than what the kernel holds for one reader
        a.sendall(send(carol, b"hello") + ping)
        expected = derp.RecvPacket(alice.public, b"hello").pack()
        assert receive_exactly(c, len(expected)) == expected
        relay.wait_for("client_gone", peer=str(bob.public))
        assert relay.metric("derp_sclient_write_timeouts") == timeouts + 1
        stream = read_to_end(b)
        assert stream.startswith(derp.RecvPacket(alice.public, bytes(60_000)).pack())


# --- the program ---


def test_sigterm_ends_it_with_a_last_event() -> None:
    relay = RunningRelay("--self-signed", "--stun-port", "0")
    with log_in(relay, new_key()) as tls:
        relay.process.terminate()
        assert relay.wait_for("stopped")["host"] == HOST
        assert read_to_end(tls) == b""
    assert relay.process.wait(PATIENCE) == 0


def test_who_dials_while_it_is_still_loading_waits_and_is_served(
    authority: Authority, tmp_path: Path
) -> None:
    """It loads for as long as nobody writes its certificate into the pipe."""
    os.mkfifo(tmp_path / "cert.pem")
    options = ["--cert", str(tmp_path / "cert.pem"), "--key", str(authority.key)]
    port = free_port()
    process = start("--hostname", HOST, "--listen", f"127.0.0.1:{port}", *options)
    tcp = once(process, lambda: socket.create_connection(("127.0.0.1", port), PATIENCE))
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 0.0)[0] == []
    process.send_signal(signal.SIGHUP)  # to read again what is yet to be read

    pipe = once(process, lambda: os.open(tmp_path / "cert.pem", os.O_WRONLY | os.O_NONBLOCK))
    os.write(pipe, authority.cert.read_bytes())
    os.close(pipe)

    with trusting().wrap_socket(tcp, server_hostname=HOST) as tls:
        tls.sendall(b"GET /derp/latency-check HTTP/1.1\r\nHost: derp.test\r\n\r\n")
        assert receive_exactly(tls, 12) == b"HTTP/1.1 200"
    process.terminate()
    assert process.communicate(timeout=PATIENCE)[1] == ""


def once(process: subprocess.Popen[str], can_be: Callable[[], T]) -> T:
    """As soon as the process, which must not end, lets us."""
    until = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None
        assert time.monotonic() < until
        with suppress(OSError):
            return can_be()


def test_its_own_key_lives_in_a_file_made_once_and_tight(tmp_path: Path) -> None:
    path = tmp_path / "derp.key"
    keys = set()
    for _ in range(2):
        relay = RunningRelay("--self-signed", "--stun-port", "0", "--derp-key", str(path))
        keys.add(relay.key)
        assert relay.stop() == 0
    assert len(keys) == 1
    assert path.stat().st_mode & 0o777 == 0o600


def test_plain_http_when_asked_for() -> None:
    relay = RunningRelay("--plain-http", "--stun-port", "0")
    private = new_key()
    with relay.tcp() as tcp:
        client = RelayClient(private, HOST, random=os.urandom)
        [flight] = client.start(relay.key, now=0.0)
        assert isinstance(flight, SendBytes)
        tcp.sendall(flight.data)
        size = len(derp.ServerKey(relay.key).pack()) + SERVER_INFO_SIZE
        assert client.receive(receive_exactly(tcp, size), now=0.0) == [RelayUp(relay.key)]
    assert relay.stop() == 0


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        ([], "derper: give --cert F and --key F, or --self-signed, or --plain-http"),
        (["--cert", "a.pem"], "derper: --cert and --key go together"),
        (
            ["--cert", "/nowhere/a.pem", "--key", "b.pem", *ANYWHERE],
            "derper: --cert /nowhere/a.pem: No such file or directory",
        ),
        (
            ["--cert", "/dev/null", "--key", "b.pem", *ANYWHERE],
            "derper: --cert /dev/null: not in PEM form",
        ),
        (["--plain-http"], "derper: --plain-http needs --listen with a port other than 443"),
        (
            ["--self-signed", "--listen", "nowhere"],
            "derper: --listen: endpoint: 'nowhere' is not ADDRESS:PORT",
        ),
        (["--self-signed", "--stun-port", "70000"], "derper: --stun-port 70000: not a port"),
        (
            ["--self-signed", "--derp-key", "/dev/null", *ANYWHERE],
            "derper: --derp-key /dev/null: expected 'privkey:' and 64 hex digits",
        ),
    ],
)
def test_bad_arguments_are_one_line_and_status_2(argv: list[str], line: str) -> None:
    assert finished("--hostname", HOST, *argv) == (2, [line])


def test_a_key_of_another_certificate(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path)
    argv = ["--cert", str(authority.cert), "--key", str(other.key), *ANYWHERE]
    assert finished("--hostname", HOST, *argv) == (
        2,
        ["derper: certificate and key do not work together: key values mismatch"],
    )


def test_a_port_in_use_is_status_3(relay: RunningRelay) -> None:
    argv = ["--hostname", HOST, "--self-signed", "--listen", f"127.0.0.1:{relay.port}"]
    line = f"derper: cannot listen on TCP 127.0.0.1:{relay.port}: Address already in use"
    assert finished(*argv) == (3, [line])
