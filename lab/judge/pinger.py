"""A stream of pings that counts what an application would see: each echo's every reply, with its time.

`ping` of iputils tells of losses in words and of duplicates in passing. A judge needs numbers: for
each sequence number when it left and when each reply came, on CLOCK_MONOTONIC, the clock of the event
log. Runs inside a host with nothing but the standard library:

    python -m lab.judge.pinger 100.64.2.20 --count 200 --interval 0.01

and prints one JSON line an echo: {"seq": 0, "sent": 12.5, "received": [12.6]}.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

ECHO_REQUEST, ECHO_REPLY = 8, 0
SEQUENCES = 1 << 16  # numbers that an echo can have (RFC 792)
PATIENCE = 3.0  # seconds for the reply to the last echo: a busy machine stands still at times
STRAGGLERS = 1.0  # seconds after it for earlier ones: longer than an outage that is no failure
MOMENT = 0.2  # seconds in which a duplicate would have shown


@dataclass(slots=True)
class Echo:
    seq: int
    sent: float
    received: list[float] = field(default_factory=list)


def internet_checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def echo_request(ident: int, seq: int, payload: bytes) -> bytes:
    """RFC 792, type 8. The payload's length is even."""
    header = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, ident, seq)
    return (
        header[:2] + struct.pack("!H", internet_checksum(header + payload)) + header[4:] + payload
    )


def reply_seq(packet: bytes, ident: int) -> int | None:
    """The sequence number, if this IPv4 packet is a reply to one of ours."""
    start = (packet[0] & 15) * 4
    kind, _, _, its_ident, seq = struct.unpack_from("!BBHHH", packet, start)
    return seq if (kind, its_ident) == (ECHO_REPLY, ident) else None


def stream(
    address: str, count: int, interval: float, payload: bytes, is_wanted: Callable[[], bool]
) -> list[Echo]:
    """Send `count` echoes on the beat, whatever comes back or does not; and on while more is wanted.

    Beats that were slept through are not made up for, and what is there to be read is read before anything
    counts as lost.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    sock.connect((address, 0))
    sock.setblocking(False)
    ident = os.getpid() & 0xFFFF
    echoes: list[Echo] = []
    beat = time.monotonic()
    while not _done(echoes, count):
        if is_wanted():  # and once more when it is not, so that the last one is sent after the end
            count = max(count, len(echoes) + 2)
        now = time.monotonic()
        if len(echoes) < count and now >= beat:
            echoes.append(Echo(len(echoes), now))
            sock.send(echo_request(ident, echoes[-1].seq % SEQUENCES, payload))
            beat = beat + interval if beat + interval > now else now + interval
            continue
        until = beat if len(echoes) < count else _end(echoes[-1])
        if select.select([sock], [], [], max(0.0, until - now))[0]:
            seq = reply_seq(sock.recv(65535), ident)
            if seq is not None and (which := _whose(seq, len(echoes))) >= 0:
                echoes[which].received.append(time.monotonic())
        elif len(echoes) == count:
            break
    return echoes


def _whose(seq: int, sent: int) -> int:
    """The last one sent with that number; negative: none."""
    newest = sent - 1
    return newest - (newest - seq) % SEQUENCES


def _end(last: Echo) -> float:
    """How long to wait for what has not come yet."""
    return last.received[0] + STRAGGLERS if last.received else last.sent + PATIENCE


def _done(echoes: list[Echo], count: int) -> bool:
    """All answered, and a moment passed in which a duplicate would have shown."""
    if len(echoes) < count or not all(echo.received for echo in echoes):
        return False
    return time.monotonic() > max(echo.received[-1] for echo in echoes) + MOMENT


def _is_stdin_open() -> bool:
    """Nobody says anything there: it is readable when it has ended."""
    return not select.select([sys.stdin], [], [], 0)[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.judge.pinger")
    parser.add_argument("address")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--interval", type=float, default=0.1, help="seconds")
    parser.add_argument("--payload", default="punchlab", help="text inside each echo")
    parser.add_argument("--lasting", action="store_true", help="on after that until stdin ends")
    args = parser.parse_args()
    payload = args.payload.encode()
    payload += bytes(len(payload) % 2)
    is_wanted: Callable[[], bool] = _is_stdin_open if args.lasting else bool
    for echo in stream(args.address, args.count, args.interval, payload, is_wanted):
        print(json.dumps(asdict(echo)))


if __name__ == "__main__":
    main()
