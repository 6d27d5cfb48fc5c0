"""A real relay in a process of its own, a CA to trust it by, and clients on a real loop."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import SystemRandom
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from msgspec.structs import replace

from node.core.relay_events import Event, PacketsReceived, RelayPong, RelayUp
from node.io.loop import Loop
from node.io.relay_connection import RelayConnection
from node.keys import NodePrivate, NodePublic
from node.netmap import DerpNode

HOST = "derp.test"
PATIENCE = 20.0  # seconds before a test that waits in vain fails
BY_NUMBER_ONLY = range(10_000, 32_768)  # ports that Linux gives to nobody who asks for any
# The metric: packets that were let go because the queue of their reader was full.
DROPPED = 'derp_packets_dropped{reason="queue_head",kind="other"}'
COMMAND = "import sys; from node.io.derper import main; sys.exit(main(sys.argv[1:]))"

T = TypeVar("T")


def new_key() -> NodePrivate:
    return NodePrivate.from_seed(os.urandom(32))


class Authority:
    """A CA with one certificate for HOST, as files in a folder."""

    def __init__(self, folder: Path, name: str = "a test CA") -> None:
        self.ca, self.cert, self.key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
        ca_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        ca = self._certificate(name, name, ca_key, ca_key, is_ca=True)
        leaf = self._certificate(HOST, name, leaf_key, ca_key, is_ca=False)
        self.ca.write_bytes(ca.public_bytes(Encoding.PEM))
        self.cert.write_bytes(leaf.public_bytes(Encoding.PEM))
        pem = leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.key.write_bytes(pem)

    @staticmethod
    def _certificate(
        name: str, issuer: str, key: ec.EllipticCurvePrivateKey,
        ca_key: ec.EllipticCurvePrivateKey, *, is_ca: bool,
    ) -> x509.Certificate:  # fmt: skip
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(is_ca, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(ca_key, hashes.SHA256())
        )


class Reachable:
    """A relay as any client sees it."""

    port: int
    key: NodePublic

    def node(self, **changes: Any) -> DerpNode:
        return replace(DerpNode("1a", 1, HOST, "127.0.0.1", derp_port=self.port), **changes)

    def tcp(self, segment: int | None = None) -> socket.socket:
        """`segment`: bytes at most. The kernel of the other end keeps some tens of them in hand."""
        tcp = socket.socket()
        tcp.settimeout(PATIENCE)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if segment is not None:
            tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, segment)
        tcp.connect(("127.0.0.1", self.port))
        return tcp

    def tls(
        self, context: ssl.SSLContext | None = None, segment: int | None = None
    ) -> ssl.SSLSocket:
        return (context or trusting()).wrap_socket(self.tcp(segment), server_hostname=HOST)

    def get(self, path: str, *headers: str) -> str:
        with self.tls() as tls:
            request = "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {HOST}", *headers, "", ""])
            tls.sendall(request.encode())
            answer = b""
            while data := tls.recv(65536):
                answer += data
            return answer.decode()


class RunningRelay(Reachable):
    def __init__(self, *argv: str, port: int = 0) -> None:
        self.argv = argv
        self.process = start("--hostname", HOST, "--listen", f"127.0.0.1:{port}", *argv)
        self.ready = self.event()
        self.port = int(self.ready["listen"].rpartition(":")[2])
        self.key = NodePublic.parse(self.ready["derp_key"])

    def event(self) -> dict[str, Any]:
        """The next line of its log."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the relay ended with {self.process.wait()}"
        event: dict[str, Any] = json.loads(line)
        return event

    def wait_for(self, event: str, **fields: str) -> dict[str, Any]:
        while True:
            got = self.event()
            if got["event"] == event and fields.items() <= got.items():
                return got

    def stop(self) -> int:
        self.process.terminate()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(PATIENCE)

    def metric(self, name: str) -> int:
        lines = self.get("/metrics").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(name + " "))


class SuppliedDerper(Reachable):
    """Somebody else's `derper`, with a certificate and a key of ours."""

    def __init__(self, binary: str, authority: Authority, folder: Path, *argv: str) -> None:
        private, config = new_key(), folder / "derper.json"
        config.write_text(json.dumps({"PrivateKey": private.to_file_text()}))
        shutil.copy(authority.cert, folder / f"{HOST}.crt")
        shutil.copy(authority.key, folder / f"{HOST}.key")
        self.key, self.port = private.public, free_port()
        own = [binary, "-a", f"127.0.0.1:{self.port}", "-hostname", HOST, "-c", str(config)]
        own += ["-certmode", "manual", "-certdir", str(folder), "-http-port", "-1"]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen([*own, *argv], stdout=quiet, stderr=quiet)
        while not self._listens():  # it says so before it does
            assert self.process.poll() is None, f"{binary} ended with {self.process.returncode}"

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(PATIENCE)

    def _listens(self) -> bool:
        with socket.socket() as tcp:
            return tcp.connect_ex(("127.0.0.1", self.port)) == 0


def free_port(kind: int = socket.SOCK_STREAM, but: int | None = None) -> int:
    """It stays free until it is asked for: nobody gets it who asks for any."""
    while True:
        port = SystemRandom().choice(BY_NUMBER_ONLY)
        if port == but:
            continue
        with socket.socket(socket.AF_INET, kind) as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port


def start(*argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *argv],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Client:
    """A RelayConnection and all it said."""

    def __init__(
        self, loop: Loop, node: DerpNode, ca: Path | None = None,
        private: NodePrivate | None = None, **options: Any,
    ) -> None:  # fmt: skip
        self.private = private or new_key()
        self.public = self.private.public
        self.events: list[Event] = []
        self._loop = loop
        self._wanted: Callable[[], bool] = lambda: False
        ca_file = None if ca is None else str(ca)
        self.connection = RelayConnection(
            loop, node, self.private, ca_file, self._on_event, **options
        )

    def wait_for(self, kind: type[T]) -> T:
        """The first event of this kind not yet waited for; those before it are forgotten."""
        run_until(self._loop, self, lambda: any(isinstance(e, kind) for e in self.events))
        while not isinstance(event := self.events.pop(0), kind):
            pass
        return event

    def when(self, wanted: Callable[[], bool]) -> None:
        self._wanted = wanted

    def _on_event(self, event: Event) -> None:
        self.events.append(event)
        if self._wanted():
            self._loop.stop()


def run_until(loop: Loop, client: Client, wanted: Callable[[], bool]) -> None:
    if wanted():
        return
    gave_up: list[bool] = []

    def give_up() -> None:
        gave_up.append(True)
        loop.stop()

    guard = loop.at(loop.now() + PATIENCE, give_up)
    client.when(wanted)
    loop.run()
    guard.cancel()
    client.when(lambda: False)
    assert not gave_up, f"waited in vain; so far: {client.events}"


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        got = sock.recv(size - len(data))
        assert got, f"the end after {data!r}"
        data += got
    return data


def reach_across(here: RunningRelay, a: Client, b: Client) -> None:
    """From a, which is at this relay, to b, which is at another; both connect meanwhile."""
    packet = b"are you there?"
    a.wait_for(RelayUp)
    b.wait_for(RelayUp)
    while not here.metric("derp_packets_forwarded_out"):  # until the news of b has come here
        a.connection.send_packets(b.public, [packet])
        a.connection.ping()
        a.wait_for(RelayPong)  # the packet went its way, or into nothing
    assert b.wait_for(PacketsReceived) == PacketsReceived(a.public, [packet])


def read_to_end(sock: socket.socket) -> bytes:
    data = b""
    while True:
        try:
            got = sock.recv(65536)
        except OSError:
            return data
        if not got:
            return data
        data += got


def finished(*argv: str) -> tuple[int, Sequence[str]]:
    """Exit status and the lines on stderr."""
    process = start(*argv)
    stdout, stderr = process.communicate(timeout=PATIENCE)
    assert stdout == ""
    return process.returncode, stderr.splitlines()
