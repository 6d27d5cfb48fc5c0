"""UDP sockets on strings: a program that opens, sends and tells what it hears, in any machine.

Stands alone, so that it starts in a moment: `python -I -S lab/judge/puppet.py`. One JSON list a line:

    in   ["open", NAME, ADDRESS, PORT, DEVICE]       port 0: any; device "": any
         ["send", NAME, ADDRESS, PORT, TEXT]
         ["close", NAME]
         ["done?", N]                                answered when all before it is done
    out  ["started", PID]
         ["opened", NAME, ADDRESS, PORT]
         ["heard", NAME, ADDRESS, PORT, TEXT]        a datagram, and where it came from
         ["refused", NAME]                           an ICMP error about one that was sent
         ["failed", NAME, WHY]
         ["done", N]

It ends when its stdin does, so it never outlives whoever holds the strings.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import sys
from typing import Any

IP_RECVERR, IPV6_RECVERR = 11, 25  # Linux: ICMP errors reach a socket that is not connected
TRIES = 4  # more than ICMP errors come while one datagram is sent


class Puppet:
    def __init__(self) -> None:
        self.sockets: dict[str, socket.socket] = {}
        self.names: dict[int, str] = {}
        self.poll = select.poll()
        self.poll.register(0, select.POLLIN)

    def obey(self, order: list[Any]) -> None:
        match order:
            case ["open", str(name), str(address), int(port), str(device)]:
                self.open(name, address, port, device)
            case ["send", str(name), str(address), int(port), str(text)]:
                self.send(self.sockets[name], text.encode(), (address, port))
            case ["done?", int(fence)]:
                say("done", fence)
            case ["close", str(name)]:
                self.close(name)

    def open(self, name: str, address: str, port: int, device: str) -> None:
        ipv6 = ":" in address
        new = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            if device:
                new.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            new.bind((address, port))
        except OSError as error:
            new.close()
            say("failed", name, f"{address}:{port}: {error.strerror}")
            return
        new.setblocking(False)
        if ipv6:
            new.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
        else:
            new.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        self.sockets[name], self.names[new.fileno()] = new, name
        self.poll.register(new, select.POLLIN)
        say("opened", name, *new.getsockname()[:2])

    def send(self, mouth: socket.socket, data: bytes, to: tuple[str, int]) -> None:
        """The kernel tells of an ICMP error about an earlier datagram in the place of sending this one."""
        for _ in range(TRIES):
            with contextlib.suppress(OSError):
                mouth.sendto(data, to)
                return

    def close(self, name: str) -> None:
        if (old := self.sockets.pop(name, None)) is not None:
            self.poll.unregister(old)
            del self.names[old.fileno()]
            old.close()

    def hear(self, number: int) -> None:
        name = self.names[number]
        ears = self.sockets[name]
        with contextlib.suppress(BlockingIOError):
            ears.recvmsg(2048, 2048, socket.MSG_ERRQUEUE)  # it stays readable until this is empty
            say("refused", name)
        with contextlib.suppress(OSError):  # the same ICMP error once more, or nothing yet
            while True:
                data, source = ears.recvfrom(2048)
                say("heard", name, *source[:2], data.decode(errors="replace"))

    def run(self) -> None:
        say("started", os.getpid())
        rest = b""
        while True:
            for number, _ in self.poll.poll():
                if number != 0:
                    self.hear(number)
                    continue
                if not (got := os.read(0, 65536)):
                    return
                *lines, rest = (rest + got).split(b"\n")
                for line in lines:
                    self.obey(json.loads(line))


def say(*words: object) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


if __name__ == "__main__":
    try:
        Puppet().run()
    except BrokenPipeError:
        sys.exit(0)
