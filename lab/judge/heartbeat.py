"""Pings without end from one host to another, each told as soon as it is known how it went.

What an application would see of a path: `pinger` counts a stream that is over, this one goes on until
nobody reads it any more. A ping is lost when no reply came for `PATIENCE`; should the reply come
later still, the ping is told again, with its time. Runs inside a host:

    python -m lab.judge.heartbeat 100.64.2.20 --interval 0.1

and prints one JSON line a ping (`lab.model.beat`). It ends with its stdin, its reader, its host's lab.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable

from lab.client import Lab
from lab.errors import BadRequest
from lab.judge.pinger import echo_request, reply_seq
from lab.model.beat import Beat, to_line
from lab.model.plan import Plan

INTERVAL = 0.1  # seconds
PATIENCE = 2.0  # seconds without a reply until a ping is lost
PAYLOAD = b"punchlab"

_SEQUENCES = 1 << 16  # RFC 792
_FORGOTTEN = 30.0  # seconds after which a reply is nobody's


def start(
    lab: Lab, plan: Plan, a: str, b: str, interval: float = INTERVAL
) -> subprocess.Popen[str]:
    """Beats from a to b, as lines; closing its stdin ends it."""
    argv = [sys.executable, "-m", "lab.judge.heartbeat", overlay_of(plan, b)]
    argv += ["--interval", str(interval)]
    pipe = subprocess.PIPE
    return lab.popen(a, argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1)


def overlay_of(plan: Plan, host: str) -> str:
    """Its first IPv4 address in the overlay."""
    known = [daemon.settings.get("overlay") for daemon in plan.daemons if daemon.host == host]
    for address in known[0] if known and isinstance(known[0], list) else ():
        if ":" not in str(address):
            return str(address).partition("/")[0]
    raise BadRequest(f"{host} has no IPv4 address in the overlay, so it cannot be pinged there")


class Heart:
    """Sends on the beat, whatever comes back or does not; `tell` gets each ping's end."""

    def __init__(self, connection: socket.socket, interval: float, tell: Callable[[Beat], None]):
        self._socket, self._interval, self._tell = connection, interval, tell
        self._ident = os.getpid() & 0xFFFF
        self._seq = 0
        self._waiting: dict[int, float] = {}  # sequence number -> when it left
        self._late: dict[int, float] = {}
        self.next_beat = 0.0

    def beat(self, now: float) -> None:
        request = echo_request(self._ident, self._seq % _SEQUENCES, PAYLOAD)
        with contextlib.suppress(OSError):  # no way there at present: it is lost like any other
            self._socket.send(request)
        self._waiting[self._seq] = now
        self._seq += 1
        self.next_beat = max(self.next_beat + self._interval, now)

    def give_up(self, now: float) -> None:
        for seq, sent in list(self._waiting.items()):
            if now - sent < PATIENCE:
                break
            self._late[seq] = self._waiting.pop(seq)
            self._tell(Beat(seq, sent, now))
        for seq, sent in list(self._late.items()):
            if now - sent > _FORGOTTEN:
                del self._late[seq]

    def receive(self, now: float) -> None:
        low = reply_seq(self._socket.recv(65535), self._ident)
        for waiting in (self._waiting, self._late):
            for seq in waiting:
                if seq % _SEQUENCES == low:
                    sent = waiting.pop(seq)
                    self._tell(Beat(seq, sent, now, round((now - sent) * 1e3, 3)))
                    return


def run(heart: Heart, connection: socket.socket, stdin: int) -> None:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    poll.register(stdin, select.POLLIN)
    heart.next_beat = time.monotonic()
    while True:
        looked = time.monotonic()
        ready = dict(poll.poll(max(0.0, heart.next_beat - looked) * 1e3))
        if stdin in ready and not os.read(stdin, 4096):
            return
        now = time.monotonic()
        if connection.fileno() in ready:
            with contextlib.suppress(OSError):  # an ICMP error of somebody on the way
                heart.receive(now)
        else:  # all that had come by then is read
            heart.give_up(looked)
        if now >= heart.next_beat:
            heart.beat(now)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.judge.heartbeat")
    parser.add_argument("address")
    parser.add_argument("--interval", type=float, default=INTERVAL, help="seconds")
    args = parser.parse_args()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as connection:
        connection.connect((args.address, 0))
        heart = Heart(connection, args.interval, lambda beat: print(to_line(beat), flush=True))
        with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
            run(heart, connection, sys.stdin.fileno())
    os._exit(0)  # what was not written has no reader


if __name__ == "__main__":
    main()
