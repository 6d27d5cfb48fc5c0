"""One direction of a link, measured by itself: the clock is the same in every machine of a lab."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

from lab.client import Lab

_LISTEN = """
import json, socket, time
got = []
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    listening.bind(("", 9000))
    listening.settimeout(10.0)
    print("listening", flush=True)
    try:
        while True:
            number, sent, _ = listening.recv(2048).split(b" ", 2)
            now = time.monotonic()
            got.append((int(number), now, now - float(sent)))
            listening.settimeout(0.5)  # who is silent for as long has said all
    except TimeoutError:
        print(json.dumps(got))
"""
_SEND = """
import socket, sys, time
to, count, gap, size = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
    begin = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, begin + number * gap - time.monotonic()))
        data = b"%d %.9f " % (number, time.monotonic())
        sending.sendto(data.ljust(size, b"."), (to, 9000))
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    number: int
    at: float
    took: float  # seconds on the way


def one_way(
    lab: Lab, a: str, b: str, address: str, *, count: int = 50, gap: float = 0.004, size: int = 100
) -> list[Arrival]:
    """Datagrams from a to b, as they came."""
    listen = [sys.executable, "-c", _LISTEN]
    with lab.popen(b, listen, stdout=subprocess.PIPE, text=True) as listening:
        assert listening.stdout is not None
        assert listening.stdout.readline() == "listening\n"
        words = [address, str(count), str(gap), str(size)]
        assert lab.run(a, [sys.executable, "-c", _SEND, *words]).returncode == 0
        return [Arrival(*row) for row in json.loads(listening.stdout.readline())]
