"""A file over one TCP connection through the tunnel, and how it went."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab.pytest_plugin import Net, Node

PATIENCE = 10  # seconds without a byte: a connection that is given up is no download
CHUNK = 1 << 14

_SERVE = """
import socket, sys
address, size = sys.argv[1], int(sys.argv[2])
with socket.create_server((address, 8000)) as listening:
    print("listening", flush=True)
    connection, _ = listening.accept()
    connection.sendall(bytes(range(256)) * (size // 256))
"""
_FETCH = """
import json, socket, sys, time
address, patience, chunk = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
expected, size, whole = bytes(range(256)), 0, True
with socket.create_connection((address, 8000), patience) as connection:
    print("begun", flush=True)
    last, stall = time.monotonic(), 0.0
    while data := connection.recv(chunk):
        now = time.monotonic()
        last, stall = now, max(stall, now - last)
        at = size % 256
        whole = whole and data == (expected * (len(data) // 256 + 2))[at : at + len(data)]
        size += len(data)
print(json.dumps({"size": size, "whole": whole, "stall": stall}))
"""


@dataclass(frozen=True)
class Download:
    size: int
    whole: bool  # byte for byte what was sent
    stall: float  # seconds without a byte, at the longest


@dataclass(frozen=True)
class Downloading:
    process: subprocess.Popen[str]

    def finish(self) -> Download:
        """Fails when nothing came for `PATIENCE`, however long all of it takes."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        # Not `communicate`: of a quick one the answer was read together with "begun", and it would miss that.
        out, err = self.process.stdout.read(), self.process.stderr.read()
        assert self.process.wait() == 0, err
        return Download(**json.loads(out))


@contextmanager
def downloading(net: Net, to: Node, server: Node, size: int) -> Iterator[Downloading]:
    """The connection is up when the block begins."""
    serve = [sys.executable, "-c", _SERVE, server.overlay, str(size)]
    fetch = [sys.executable, "-c", _FETCH, server.overlay, str(PATIENCE), str(CHUNK)]
    pipe = subprocess.PIPE
    with net.lab.popen(server.name, serve, stdout=pipe, text=True) as serving:
        assert serving.stdout is not None
        assert serving.stdout.readline() == "listening\n"
        with net.lab.popen(to.name, fetch, stdout=pipe, stderr=pipe, text=True) as client:
            assert client.stdout is not None
            assert client.stdout.readline() == "begun\n"
            try:
                yield Downloading(client)
            finally:
                client.kill()
                serving.kill()
