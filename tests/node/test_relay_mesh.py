"""Two relays of one mesh, and who is let in: as processes, over real TLS."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from node.core.relay_events import PacketsReceived, PeerGone, RelayDown, RelayUp
from node.io.admission import ask
from node.io.loop import Loop
from tests.node.running_relay import (
    HOST,
    Authority,
    Client,
    RunningRelay,
    finished,
    free_port,
    new_key,
    reach_across,
)

OWN = ["--hostname", HOST, "--self-signed", "--listen", "127.0.0.1:0"]


def started(authority: Authority, *argv: str, port: int = 0) -> RunningRelay:
    tls = ["--cert", str(authority.cert), "--key", str(authority.key)]
    return RunningRelay(*tls, "--stun-port", "0", *argv, port=port)


# --- the mesh ---


@pytest.fixture
def mesh(authority: Authority, tmp_path: Path) -> Iterator[tuple[RunningRelay, RunningRelay]]:
    key = tmp_path / "mesh.key"
    key.write_text("0123456789abcdef" * 4 + "\n")
    ports = (first := free_port()), free_port(but=first)
    both = [f"{HOST}:{port}/127.0.0.1" for port in ports]
    relays = [
        started(
            authority, "--mesh-key", str(key), "--ca", str(authority.ca),
            "--mesh-with", both[0], "--mesh-with", both[1], port=port,
        )
        for port in ports
    ]  # fmt: skip
    for relay, other in zip(relays, reversed(both), strict=True):
        relay.wait_for("mesh_connected", relay=other.partition("/")[0])
    yield relays[0], relays[1]
    for relay in relays:
        relay.stop()


@pytest.mark.scenario(100)
@pytest.mark.scenario(39)
def test_a_packet_crosses_two_relays_once_and_so_does_the_news_that_its_sender_left(
    mesh: tuple[RunningRelay, RunningRelay], authority: Authority, loop: Loop
) -> None:
    here, there = mesh
    a, b = Client(loop, here.node(), authority.ca), Client(loop, there.node(), authority.ca)
    reach_across(here, a, b)

    b.connection.send_packets(a.public, [b"yes"])
    assert a.wait_for(PacketsReceived) == PacketsReceived(b.public, [b"yes"])
    assert there.metric("derp_packets_forwarded_in") == 1
    assert here.metric("derp_packets_forwarded_in") == 1

    a.connection.close()
    assert b.wait_for(PeerGone) == PeerGone(a.public, 0)
    b.connection.close()


def test_a_client_knows_when_the_other_relay_dies_and_reaches_whoever_is_there_once_it_is_back(
    mesh: tuple[RunningRelay, RunningRelay], authority: Authority, loop: Loop
) -> None:
    here, there = mesh
    a, b = Client(loop, here.node(), authority.ca), Client(loop, there.node(), authority.ca)
    a.wait_for(RelayUp)
    b.wait_for(RelayUp)
    while not there.metric("derp_packets_forwarded_out"):
        b.connection.send_packets(a.public, [b"hello"])
    a.wait_for(PacketsReceived)
    there.process.kill()
    assert a.wait_for(PeerGone) == PeerGone(b.public, 0)
    here.wait_for("mesh_lost")

    again = RunningRelay(*there.argv, port=there.port)
    here.wait_for("mesh_connected", relay=f"{HOST}:{there.port}")
    again.wait_for("mesh_connected", relay=f"{HOST}:{here.port}")
    c = Client(loop, again.node(), authority.ca)
    c.wait_for(RelayUp)
    while not again.metric("derp_packets_forwarded_out"):  # until the news of a has come there
        c.connection.send_packets(a.public, [b"back again"])
    assert a.wait_for(PacketsReceived).packets[0] == b"back again"
    for client in (a, c):
        client.connection.close()
    assert again.stop() == 0


# --- admission ---


def test_the_list_of_keys_is_read_again_on_sighup(
    authority: Authority, tmp_path: Path, loop: Loop
) -> None:
    listed, other = new_key(), new_key()
    keys = tmp_path / "keys"
    keys.write_text(f"# who may come in\n{listed.public}  # an old friend\n")
    relay = started(authority, "--allow-keys", str(keys))

    def attempt(private: object) -> object:
        assert private in (listed, other)
        chosen = listed if private == listed else other
        client = Client(loop, relay.node(), authority.ca, chosen)
        event = client.wait_for(RelayUp | RelayDown)  # type: ignore[arg-type]
        client.connection.close()
        return event

    assert isinstance(attempt(listed), RelayUp)
    refused = attempt(other)
    assert isinstance(refused, RelayDown)
    assert "may not admit this key" in refused.why

    keys.write_text(f"{other.public}\n")
    relay.process.send_signal(signal.SIGHUP)
    relay.wait_for("reloaded")
    assert isinstance(attempt(other), RelayUp)
    assert isinstance(attempt(listed), RelayDown)
    assert relay.stop() == 0


class Judge(BaseHTTPRequestHandler):
    """Answers as its server was told, and keeps the questions."""

    server: JudgingServer

    def do_POST(self) -> None:
        size = int(self.headers["Content-Length"])
        self.server.questions.append(json.loads(self.rfile.read(size)))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


class JudgingServer(HTTPServer):
    status, answer = 200, b'{"Allow": true}'

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Judge)
        self.questions: list[object] = []


@pytest.fixture
def judge() -> Iterator[JudgingServer]:
    server = JudgingServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (200, b'{"Allow": true}', RelayUp),
        (200, b'{"Allow": false}', RelayDown),
        (200, b'{"Allow": "yes"}', RelayDown),
        (200, b"yes", RelayDown),
        (500, b'{"Allow": true}', RelayDown),
    ],
)
def test_a_url_decides(
    authority: Authority, judge: JudgingServer, loop: Loop,
    status: int, answer: bytes, kind: type[RelayUp | RelayDown],
) -> None:  # fmt: skip
    judge.status, judge.answer = status, answer
    url = f"http://127.0.0.1:{judge.server_port}/verify"
    relay = started(authority, "--verify-client-url", url)
    client = Client(loop, relay.node(), authority.ca)
    client.wait_for(kind)
    assert judge.questions == [{"NodePublic": str(client.public), "Source": "127.0.0.1"}]
    client.connection.close()
    assert relay.stop() == 0


@pytest.mark.parametrize(
    "answer",
    [b"SSH-2.0-something else\r\n", b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 4000],
    ids=["no HTTP", "no end of brackets"],
)
def test_an_answer_that_is_none_lets_nobody_in(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as asked:
                question = b""
                while not question.endswith(b"}"):
                    data = asked.recv(4096)
                    assert data, question
                    question += data
                asked.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert not ask(url, new_key().public, "192.0.2.7", fail_open=True)


@pytest.mark.parametrize(("closed", "kind"), [(False, RelayUp), (True, RelayDown)])
def test_when_the_url_cannot_be_reached(
    authority: Authority, loop: Loop, closed: bool, kind: type[RelayUp | RelayDown]
) -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    flag = ["--verify-client-url-fail-closed"] if closed else []
    relay = started(authority, "--verify-client-url", url, *flag)
    client = Client(loop, relay.node(), authority.ca)
    client.wait_for(kind)
    client.connection.close()
    assert relay.stop() == 0


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--mesh-with", "a"], "derper: --mesh-with needs --mesh-key F"),
        (["--mesh-key", "/dev/null"], "derper: --mesh-key /dev/null: mesh key: not 64 hex digits"),
        (
            ["--verify-client-url", "ftp://x"],
            "derper: --verify-client-url ftp://x: not an http:// or https:// URL",
        ),
        (["--allow-keys", "/nowhere"], "derper: --allow-keys /nowhere: No such file or directory"),
    ],
)
def test_bad_arguments(argv: list[str], line: str) -> None:
    assert finished(*OWN, *argv) == (2, [line])


def test_a_bad_relay_and_a_bad_key_are_named(tmp_path: Path) -> None:
    key, keys = tmp_path / "mesh.key", tmp_path / "keys"
    key.write_text("00" * 32)
    keys.write_text("\nnodekey:00\n")
    argv = [*OWN, "--mesh-key", str(key)]
    assert finished(*argv, "--mesh-with", "a:b") == (
        2,
        ["derper: --mesh-with: 'a:b' is not HOST[:PORT][/ADDRESS]"],
    )
    assert finished(*argv, "--allow-keys", str(keys)) == (
        2,
        [f"derper: --allow-keys {keys}, line 2: expected 'nodekey:' and 64 hex digits"],
    )
