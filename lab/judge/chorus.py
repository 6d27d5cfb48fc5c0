"""Echoes to many hosts at once, until told to stop: what an application sees of each of its paths.

    python -m lab.judge.chorus --interval 0.05 100.64.7.1 100.64.8.1

sends to each address on the beat. When its stdin ends it stops, waits for the last replies, and prints
one JSON line an address: {"address": ..., "sent": [seconds, ...], "received": [[seconds, ...], ...]}, in
seconds of CLOCK_MONOTONIC, the clock of the event log.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from lab.judge.pinger import echo_request, reply_seq

TAIL = 0.3  # seconds for the last replies
MOST = 1 << 16  # echoes to one address: a sequence number has 16 bits
STDIN = 0


@dataclass(slots=True)
class Voice:
    """One address, and what is heard of it."""

    address: str
    sent: list[float] = field(default_factory=list)
    received: list[list[float]] = field(default_factory=list)


class Chorus:
    def __init__(self, addresses: Sequence[str], interval: float, payload: bytes) -> None:
        self.voices = [Voice(address) for address in addresses]
        self._interval, self._payload = interval, payload
        self._ident = os.getpid() & 0xFFFF
        self._sockets: dict[int, tuple[socket.socket, Voice]] = {}
        self._poll = select.poll()
        for voice in self.voices:
            ears = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            ears.setblocking(False)
            ears.connect((voice.address, 0))
            self._sockets[ears.fileno()] = (ears, voice)
            self._poll.register(ears, select.POLLIN)
        self._poll.register(STDIN, select.POLLIN)

    def sing(self) -> None:
        """On the beat until stdin ends, whatever comes back or does not."""
        # Not all at once: a handshake is work, and each pair's is to be its own.
        gap = self._interval / len(self.voices)
        due = {number: time.monotonic() + gap * n for n, number in enumerate(self._sockets)}
        while not self._heard_the_end(min(due.values())):
            for number, at in due.items():
                if at <= (now := time.monotonic()):
                    self._send(number, now)
                    due[number] = at + self._interval
        end = time.monotonic() + TAIL
        self._poll.unregister(STDIN)
        while time.monotonic() < end:
            self._heard_the_end(end)

    def _send(self, number: int, now: float) -> None:
        ears, voice = self._sockets[number]
        if len(voice.sent) < MOST:
            packet = echo_request(self._ident, len(voice.sent), self._payload)
            voice.sent.append(now)
            voice.received.append([])
            with contextlib.suppress(OSError):  # it counts as lost
                ears.send(packet)

    def _heard_the_end(self, until: float) -> bool:
        for number, _ in self._poll.poll(max(0.0, until - time.monotonic()) * 1000):
            if number == STDIN:
                return True
            ears, voice = self._sockets[number]
            with contextlib.suppress(OSError):
                seq = reply_seq(ears.recv(65535), self._ident)
                if seq is not None and seq < len(voice.sent):
                    voice.received[seq].append(time.monotonic())
        return False


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.judge.chorus")
    parser.add_argument("addresses", nargs="+")
    parser.add_argument("--interval", type=float, default=0.05, help="seconds")
    args = parser.parse_args()
    chorus = Chorus(args.addresses, args.interval, b"punchlab")
    chorus.sing()
    for voice in chorus.voices:
        print(json.dumps(asdict(voice)))


if __name__ == "__main__":
    main()
