"""Load on one relay, from many clients in this one process: how much, how soon, and at what cost.

    python -m tests.bench.relay_load QUESTION TRANSPORT NUMBER [SECONDS] [--peer HOST:PORT]

    stream TRANSPORT PAIRS:FRAMES   bits a second; each sender hands FRAMES frames to one write
    latency TRANSPORT COUNT         one way through the idle relay, beside a process that only hands on,
                                    and a plain connection
    memory TRANSPORT CLIENTS        what one idle client costs the relay

Prints one JSON object. The relay is ours, started here, unless a peer is named. Meant for a network
namespace of its own, in which only `lo` is up.
"""

from __future__ import annotations

import json
import os
import resource
import select
import socket
import ssl
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from node.core.relay_client import RelayClient
from node.core.relay_events import RelayUp, SendBytes
from node.keys import NodePrivate
from node.wire import derp, derp_framing
from tests.bench.inside import come_first

HOST = "127.0.0.1"
PACKET = 1420  # bytes: what WireGuard makes of a full packet
WINDOW = 3 * 45 * PACKET  # bytes of one pair under way: the relay drops what nobody reads in time
WARM_UP = 0.3  # seconds
STUCK = 0.1  # seconds without a byte: what was under way was dropped
GAP = 0.0005  # seconds between two packets of the latency test
BUFFER = memoryview(bytearray(1 << 20))
LATER = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Relay:
    def __init__(self, tls: bool, peer: str | None = None) -> None:
        self.tls = tls
        self._process: subprocess.Popen[str] | None = None
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        if peer is not None:
            host, _, port = peer.rpartition(":")
            self._at = host, int(port)
            return
        argv = [sys.executable, "-m", "node", "derper", "--hostname", HOST, "--stun-port", "0"]
        argv += ["--listen", f"{HOST}:0", "--self-signed" if tls else "--plain-http"]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ready = json.loads(self._process.stdout.readline())
        self._at = HOST, int(ready["listen"].rpartition(":")[2])

    def connect(self) -> socket.socket:
        tcp = socket.create_connection(self._at)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._context.wrap_socket(tcp, server_hostname=HOST) if self.tls else tcp

    def resident(self) -> int:
        """Bytes."""
        assert self._process is not None, "the memory of a peer cannot be seen"
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def cpu(self) -> float:
        """Seconds so far; 0 for a peer."""
        if self._process is None:
            return 0.0
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@dataclass(slots=True)
class Client:
    sock: socket.socket
    private: NodePrivate

    @classmethod
    def log_in(cls, relay: Relay) -> Client:
        sock, private = relay.connect(), NodePrivate.from_seed(os.urandom(32))
        core = RelayClient(private, HOST, random=os.urandom)
        outputs = core.start(None, 0.0)
        while not any(isinstance(each, RelayUp) for each in outputs):
            for each in outputs:
                assert isinstance(each, SendBytes), each
                sock.sendall(each.data)
            outputs = core.receive(sock.recv(4096), 0.0)
        return cls(sock, private)

    def frame(self, to: Client, size: int = PACKET) -> bytes:
        return derp.SendPacket(to.private.public, os.urandom(size)).pack()

    def drain(self) -> int:
        """Reads what is there, without a look at it; how many bytes."""
        total = 0
        try:
            while got := self.sock.recv_into(BUFFER):
                total += got
        except LATER:
            pass
        return total


class Pair:
    """One sends to the other, as fast as that one reads."""

    def __init__(self, relay: Relay, frames: int) -> None:
        self.sender, self.receiver = Client.log_in(relay), Client.log_in(relay)
        self._chunk = memoryview(self.sender.frame(self.receiver) * frames)
        self._rest = self._chunk[:0]
        self._under_way = 0
        for client in (self.sender, self.receiver):
            client.sock.setblocking(False)

    def send(self) -> None:
        """Until there is enough under way, or the relay takes no more."""
        try:
            while self._rest or self._under_way < WINDOW:
                if not self._rest:
                    self._rest = self._chunk
                    self._under_way += len(self._chunk)
                self._rest = self._rest[self.sender.sock.send(self._rest) :]
        except LATER:
            pass

    def receive(self) -> int:
        got = self.receiver.drain()
        self._under_way = max(0, self._under_way - got)
        return got

    def forget(self) -> None:
        self._under_way = 0


def stream(relay: Relay, pairs: int, frames: int, seconds: float) -> dict[str, float]:
    everybody = [Pair(relay, frames) for _ in range(pairs)]
    epoll = select.epoll()
    by_fd = {each.receiver.sock.fileno(): each for each in everybody}
    for fd in by_fd:
        epoll.register(fd, select.EPOLLIN)
    now = time.monotonic()
    begin, end = now + WARM_UP, now + WARM_UP + seconds
    heard, total, cpu, begun = now, 0, 0.0, False
    while now < end:
        for pair in everybody:
            pair.send()
        got = sum(by_fd[fd].receive() for fd, _ in epoll.poll(STUCK))
        now = time.monotonic()
        if not begun and now >= begin:
            begun, begin, total, cpu = True, now, 0, relay.cpu()
        total += got
        if got:
            heard = now
        elif now > heard + STUCK:
            for pair in everybody:
                pair.forget()
    payload = total * PACKET / (PACKET + derp_framing.PACKET_HEADER_SIZE)
    spent = relay.cpu() - cpu
    return {"gbit": 8e-9 * payload / (now - begin), "cpu_per_gb": spent / (payload / 1e9)}


def latency(relay: Relay, count: int) -> dict[str, float]:
    a, b = Client.log_in(relay), Client.log_in(relay)
    frame = a.frame(b)
    ways = {"": (a.sock, b.sock), "bare_": forwarded(), "plain_": straight()}
    found: dict[str, float] = {}
    for name, (sender, receiver) in ways.items():
        samples = [one_way(sender, receiver, frame) for _ in range(count)]
        found |= {f"{name}p{percent}": percentile(samples, percent) for percent in (50, 99)}
    return found


def straight() -> tuple[socket.socket, socket.socket]:
    """Two ends of one connection."""
    with socket.create_server((HOST, 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return near, listener.accept()[0]


def forwarded() -> tuple[socket.socket, socket.socket]:
    """Two connections to a process that hands on what it reads: the least that any relay costs."""
    (near, there), (far, here) = straight(), straight()
    here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if os.fork() == 0:
        for its_end_is_ours in (near, far):
            its_end_is_ours.close()
        try:
            while got := there.recv_into(BUFFER):
                here.sendall(BUFFER[:got])
        finally:  # whatever happens, the rest is not this process's
            os._exit(0)
    return near, far


def one_way(sender: socket.socket, receiver: socket.socket, frame: bytes) -> float:
    """Microseconds, both ends' system calls included."""
    time.sleep(GAP)
    start = time.perf_counter()
    sender.sendall(frame)
    size = 0
    while size < len(frame):
        size += receiver.recv_into(BUFFER)
    return 1e6 * (time.perf_counter() - start)


def percentile(samples: Sequence[float], percent: int) -> float:
    return statistics.quantiles(samples, n=100)[percent - 1]


def memory(relay: Relay, clients: int) -> dict[str, float]:
    warm = [Client.log_in(relay) for _ in range(20)]
    before = relay.resident()
    idle = [Client.log_in(relay) for _ in range(clients)]
    grown = relay.resident() - before
    assert len(warm) + len(idle) == clients + 20
    return {"kib": grown / clients / 1024}


def main(argv: Sequence[str]) -> None:
    peer = argv[argv.index("--peer") + 1] if "--peer" in argv else None
    question, transport, number, *more = argv
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    come_first()
    relay = Relay(transport == "tls", peer)
    try:
        if question == "stream":
            pairs, frames = map(int, number.split(":"))
            found = stream(relay, pairs, frames, float(more[0]) if more else 2.0)
        elif question == "latency":
            found = latency(relay, int(number))
        else:
            found = memory(relay, int(number))
    finally:
        relay.stop()
    print(json.dumps(found), flush=True)
    os._exit(0)  # thousands of sockets need no goodbye


if __name__ == "__main__":
    main(sys.argv[1:])
