"""One process that goes round many machines of a lab: it gets their namespaces as descriptors.

    said = go_round(lab, ["home-a", "node-a"], "tests.lab.burst", 400)

runs `python -m tests.lab.burst` inside the lab, which is given {"home-a": 5, "node-a": 6} and 400 and prints
one JSON document. A process for each machine would cost a second each where everybody is busy.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.ask import ask_for_fds

if TYPE_CHECKING:  # not needed inside
    from lab.client import Lab

ROOT = Path(__file__).parents[2]


def go_round(lab: Lab, machines: Iterable[str], module: str, *words: object) -> Any:
    fds = {name: _network(lab, name) for name in machines}
    argv = [sys.executable, "-S", "-m", module, json.dumps([fds, *words])]
    pipe, keep = subprocess.PIPE, tuple(fds.values())
    try:
        with lab.popen(None, argv, stdout=pipe, pass_fds=keep, cwd=ROOT) as process:
            return json.loads(process.communicate()[0])
    finally:
        for fd in keep:
            os.close(fd)


def _network(lab: Lab, name: str) -> int:
    answer, given = ask_for_fds(lab.folder, "enter", host=name)
    by_kind = dict(zip(answer["kinds"], given, strict=True))
    network: int = by_kind.pop("net")
    for fd in by_kind.values():
        os.close(fd)
    return network


# --- inside


def visit(network: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(network, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def bound(network: int, address: str, port: int) -> socket.socket:
    """A UDP socket there; it stays there whatever is visited next."""
    visit(network)
    new = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    new.bind((address, port))
    new.setblocking(False)
    return new
