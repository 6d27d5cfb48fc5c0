"""One direction of a link, measured by itself: the clock is the same in every machine of a lab."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

from lab.client import Lab

_LISTEN = """
import contextlib, json, select, socket, struct, time
SO_RCVBUFFORCE, SO_TIMESTAMPNS = 33, 35
got = []
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    with contextlib.suppress(PermissionError):  # without rights, what the system allows has to do
        listening.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
    listening.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    listening.bind(("", 9000))
    print("listening", flush=True)
    ears = [listening, 0]
    while ready := select.select(ears, [], [], 60.0 if 0 in ears or not got else 0.5)[0]:
        if 0 in ready:  # who sends is through: what is still on its way comes now
            ears = [listening]
        if listening in ready:
            data, [(_, _, stamp)], _, _ = listening.recvmsg(2048, 64)
            number, sent, _ = data.split(b" ", 2)
            seconds, nanoseconds = struct.unpack("qq", stamp)
            took = time.monotonic() - float(sent)
            got.append((int(number), seconds + nanoseconds / 1e9, took))
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
    pipe = subprocess.PIPE
    with lab.popen(b, listen, stdin=pipe, stdout=pipe, text=True) as listening:
        assert listening.stdin is not None
        assert listening.stdout is not None
        assert listening.stdout.readline() == "listening\n"
        words = [address, *map(str, (count, size, gap, seconds))]
        assert lab.run(a, [sys.executable, "-c", _SEND, *words]).returncode == 0
        listening.stdin.close()
        return [Arrival(*row) for row in json.loads(listening.stdout.readline())]
