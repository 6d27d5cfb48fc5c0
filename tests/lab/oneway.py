"""One direction of a link, measured by itself: the clock is the same in every machine of a lab."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

from lab.client import Lab

_LISTEN = """
import json, socket, struct, time
SO_TIMESTAMPNS = 35
got = []
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    listening.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    listening.bind(("", 9000))
    listening.settimeout(10.0)
    print("listening", flush=True)
    try:
        while True:
            data, [(_, _, stamp)], _, _ = listening.recvmsg(2048, 64)
            number, sent, _ = data.split(b" ", 2)
            seconds, nanoseconds = struct.unpack("qq", stamp)
            took = time.monotonic() - float(sent)
            got.append((int(number), seconds + nanoseconds / 1e9, took))
            listening.settimeout(0.5)  # who is silent for as long has said all
    except TimeoutError:
        print(json.dumps(got))
"""
_SEND = """
import socket, sys, time
to, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
gap, seconds = map(float, sys.argv[4:])
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
    begin = time.monotonic()
    for number in range(count):
        if time.monotonic() > begin + seconds:
            break
        time.sleep(max(0.0, begin + number * gap - time.monotonic()))
        data = b"%d %.9f " % (number, time.monotonic())
        sending.sendto(data.ljust(size, b"."), (to, 9000))
"""


@dataclass(frozen=True, slots=True)
class Arrival:
    number: int
    at: float  # by the kernel, at the interface: a busy machine lets us look late
    took: float  # seconds on the way, until we read it: a delay line stands behind the interface


def one_way(
    lab: Lab,
    a: str,
    b: str,
    address: str,
    *,
    count: int = 50,
    gap: float = 0.004,
    size: int = 100,
    seconds: float = 60.0,
) -> list[Arrival]:
    """Datagrams from a to b, as they came: so many, or as many as there are in so many seconds."""
    listen = [sys.executable, "-c", _LISTEN]
    with lab.popen(b, listen, stdout=subprocess.PIPE, text=True) as listening:
        assert listening.stdout is not None
        assert listening.stdout.readline() == "listening\n"
        words = [address, *map(str, (count, size, gap, seconds))]
        assert lab.run(a, [sys.executable, "-c", _SEND, *words]).returncode == 0
        return [Arrival(*row) for row in json.loads(listening.stdout.readline())]
