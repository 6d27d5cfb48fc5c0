"""Names to addresses without stopping the loop.

The machine's hosts file is read at once (a lab's names all stand there); anything else is asked of
the system's resolver in a thread, since it may well take seconds.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from ipaddress import ip_address

from node.io.loop import READ, Loop

HOSTS = "/etc/hosts"
OnAddresses = Callable[[list[str]], None]


def numeric(text: str) -> str | None:
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def in_hosts_file(name: str, text: str) -> list[str]:
    found: list[str] = []
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if name.lower() in map(str.lower, names) and (known := numeric(address)) is not None:
            found.append(known)
    return found


def resolve(loop: Loop, name: str, on_addresses: OnAddresses) -> None:
    """Calls back once, at once or later; with an empty list when the name is unknown."""
    if (address := numeric(name)) is not None:
        return on_addresses([address])
    try:
        with open(HOSTS, errors="replace") as file:
            known = in_hosts_file(name, file.read())
    except OSError:
        known = []
    if known:
        return on_addresses(known)
    return _ask_resolver(loop, name, on_addresses)


def _ask_resolver(loop: Loop, name: str, on_addresses: OnAddresses) -> None:
    from threading import Thread  # late: a hosts file, or the netmap, mostly knows

    answer: list[str] = []
    done = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def ask() -> None:
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            answer.extend(dict.fromkeys(str(entry[4][0]) for entry in found))
        except (OSError, UnicodeError):
            pass
        os.eventfd_write(done, 1)

    def finish(_events: int) -> None:
        loop.forget(done)
        os.close(done)
        on_addresses(answer)

    loop.watch(done, READ, finish)
    Thread(target=ask, daemon=True).start()
