"""UDP payloads out of a capture, and out into the network again."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from lab.pytest_plugin import Net

FILE_HEADER, RECORD, COOKED, UDP = 24, 16, 20, 8  # bytes; COOKED: Linux SLL2, as `-i any` has it

SEND = """
import socket, sys
host, port, *payloads = sys.argv[1:]
for payload in payloads:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(bytes.fromhex(payload), (host, int(port)))
"""


def payloads(capture: Path, port: int) -> list[bytes]:
    """Of all IPv4 datagrams to that port."""
    found = []
    for packet in packets(capture.read_bytes()):
        udp = COOKED + 4 * (packet[COOKED] & 15)
        if struct.unpack_from(">H", packet, udp + 2) == (port,):
            found.append(packet[udp + UDP :])
    return found


def packets(raw: bytes) -> Iterator[bytes]:
    at = FILE_HEADER
    while at < len(raw):
        (size,) = struct.unpack_from("<I", raw, at + 8)
        at += RECORD + size
        yield raw[at - size : at]


def send(net: Net, host: str, to: str, port: int, datagrams: list[bytes]) -> None:
    done = net.run(host, sys.executable, "-c", SEND, to, str(port), *(d.hex() for d in datagrams))
    assert done.returncode == 0, done.stderr
