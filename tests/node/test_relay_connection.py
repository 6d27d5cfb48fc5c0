"""A node's connection to a relay over real sockets: who is trusted, and what each failure says."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.core.relay_events import PacketsReceived, RelayDown, RelayUp
from node.io.dial import Dial
from node.io.loop import Loop
from node.io.resolve import in_hosts_file
from node.netmap import DerpNode
from tests.node.running_relay import Authority, Client, RunningRelay


@pytest.fixture(scope="module")
def self_signed() -> Iterator[RunningRelay]:
    relay = RunningRelay("--self-signed", "--stun-port", "0")
    yield relay
    assert relay.stop() == 0


@pytest.fixture
def deaf() -> Iterator[int]:
    """The port of a listener that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def why_down(loop: Loop, node: DerpNode, ca: Path | None) -> RelayDown:
    client = Client(loop, node, ca)
    down = client.wait_for(RelayDown)
    assert client.events == [], "the last event"
    return down


# --- trust ---


def test_the_right_ca_and_name(relay: RunningRelay, authority: Authority, loop: Loop) -> None:
    client = Client(loop, relay.node(), authority.ca)
    assert client.wait_for(RelayUp) == RelayUp(relay.key)
    assert client.connection.fast_start
    client.connection.close()


@pytest.mark.parametrize("name", ["a test CA", "another CA"])
def test_a_wrong_ca(relay: RunningRelay, tmp_path: Path, loop: Loop, name: str) -> None:
    other = Authority(tmp_path, name).ca
    down = why_down(loop, relay.node(), other)
    assert down == RelayDown(f"its certificate is not signed by the CA in {other}", retry=False)


def test_a_wrong_name(relay: RunningRelay, authority: Authority, loop: Loop) -> None:
    down = why_down(loop, relay.node(host_name="other.test"), authority.ca)
    assert down == RelayDown("its certificate is not for the name other.test", retry=False)


def test_a_self_signed_certificate_and_the_system_s_cas(
    self_signed: RunningRelay, loop: Loop
) -> None:
    down = why_down(loop, self_signed.node(), None)
    assert down == RelayDown("its certificate is not signed by any CA of this system", retry=False)


def test_a_pin(self_signed: RunningRelay, loop: Loop) -> None:
    client = Client(loop, self_signed.node(cert_name=self_signed.ready["cert_name"]))
    assert client.wait_for(RelayUp) == RelayUp(self_signed.key)
    assert client.connection.fast_start
    client.connection.close()


def test_another_pin(self_signed: RunningRelay, loop: Loop) -> None:
    wrong = "sha256-raw:" + "00" * 32
    down = why_down(loop, self_signed.node(cert_name=wrong), None)
    found = self_signed.ready["cert_name"]
    assert down == RelayDown(f"its certificate is {found}, not the pinned {wrong}", retry=False)


def test_a_pin_does_not_excuse_a_wrong_name(self_signed: RunningRelay, loop: Loop) -> None:
    node = self_signed.node(cert_name=self_signed.ready["cert_name"], host_name="other.test")
    down = why_down(loop, node, None)
    assert down == RelayDown("its certificate is not for the name other.test", retry=False)


def test_no_check_when_the_netmap_says_so(self_signed: RunningRelay, loop: Loop) -> None:
    client = Client(loop, self_signed.node(insecure_for_tests=True))
    client.wait_for(RelayUp)
    client.connection.close()


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_ca_file_that_is_none(
    relay: RunningRelay, tmp_path: Path, loop: Loop, text: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    down = why_down(loop, relay.node(), path)
    assert down.why.startswith(f"the CA file {path} cannot be used: ")
    assert not down.retry


# --- networks ---


def test_refused(relay: RunningRelay, authority: Authority, loop: Loop) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        down = why_down(loop, relay.node(derp_port=port), authority.ca)
    assert down == RelayDown(f"127.0.0.1 port {port}: connection refused", retry=True)


def test_a_name_that_nobody_knows(relay: RunningRelay, loop: Loop) -> None:
    node = relay.node(host_name="127.0.0.1", ipv4=None, ipv6=None)
    nowhere = relay.node(host_name="127.0.0.1", ipv4="none", ipv6=None)
    client = Client(loop, node)
    assert not client.wait_for(RelayDown).why.startswith("its name")
    assert why_down(loop, nowhere, None).why.startswith("its name has no address here")


def test_one_that_never_answers(deaf: int, relay: RunningRelay, loop: Loop) -> None:
    client = Client(loop, relay.node(derp_port=deaf), connect_timeout=0.2)
    assert client.wait_for(RelayDown) == RelayDown("no connection within 0.2 s", retry=True)


def test_the_second_address_when_the_first_refuses(loop: Loop, deaf: int) -> None:
    connected: list[socket.socket] = []

    def done(tcp: socket.socket) -> None:
        connected.append(tcp)
        loop.stop()

    Dial(loop, ["127.0.0.2", "127.0.0.1"], deaf, done, pytest.fail)
    loop.run()
    assert connected[0].getpeername() == ("127.0.0.1", deaf)
    connected[0].close()


def test_the_relay_goes_away(authority: Authority, loop: Loop) -> None:
    argv = ["--cert", str(authority.cert), "--key", str(authority.key), "--stun-port", "0"]
    relay = RunningRelay(*argv)
    client = Client(loop, relay.node(), authority.ca)
    client.wait_for(RelayUp)
    assert relay.stop() == 0
    down = client.wait_for(RelayDown)
    assert down.retry
    assert not client.connection.up
    client.connection.send_packets(client.public, [b"to nobody"])
    client.connection.close()


def test_a_closed_connection_says_nothing_more(
    relay: RunningRelay, authority: Authority, loop: Loop
) -> None:
    closed, other = (Client(loop, relay.node(), authority.ca) for _ in range(2))
    closed.connection.close()
    other.wait_for(RelayUp)
    assert closed.events == []
    other.connection.close()


def test_a_slow_relay_costs_the_oldest_packets_and_never_the_connection(
    relay: RunningRelay, authority: Authority, loop: Loop
) -> None:
    client = Client(loop, relay.node(), authority.ca)
    client.wait_for(RelayUp)
    sends = 0
    relay.process.send_signal(signal.SIGSTOP)
    while client.connection.outbox.drops is None:
        size = 60_000 if client.connection.outbox.empty else 1000  # little is to come back at once
        client.connection.send_packets(client.public, [sends.to_bytes(4, "big") + bytes(size)])
        sends += 1
    relay.process.send_signal(signal.SIGCONT)
    received: list[int] = []
    while not received or received[-1] != sends - 1:
        received += [int.from_bytes(p[:4], "big") for p in client.wait_for(PacketsReceived).packets]
    assert received == sorted(set(received))
    assert received[-32:] == list(range(sends - 32, sends))
    client.connection.close()


@pytest.mark.parametrize("batch", [33, 39, 45, 180])
def test_a_batch_that_has_to_wait_half_way_costs_packets_and_never_the_connection(
    relay: RunningRelay, authority: Authority, loop: Loop, batch: int
) -> None:
    """Many frames in one write: TLS may have sent some records of it when it says "later"."""
    client = Client(loop, relay.node(), authority.ca)
    client.wait_for(RelayUp)
    sends, last = 0, bytes(4)
    relay.process.send_signal(signal.SIGSTOP)
    while client.connection.outbox.drops is None:
        last = sends.to_bytes(4, "big")
        client.connection.send_packets(client.public, [last + bytes(1400)] * batch)
        sends += 1
    relay.process.send_signal(signal.SIGCONT)
    received: list[bytes] = []
    while received[-32:] != [last] * 32:
        received += [p[:4] for p in client.wait_for(PacketsReceived).packets]
    assert received == sorted(received)
    client.connection.close()


def test_the_hosts_file() -> None:
    text = "127.0.0.1 localhost\n198.51.100.1 nyc.derp.example nyc # a relay\n::1 NYC\nbad nyc\n"
    assert in_hosts_file("nyc", text) == ["198.51.100.1", "::1"]
    assert in_hosts_file("nyc.derp.example", text) == ["198.51.100.1"]
    assert in_hosts_file("relay", text) == []
