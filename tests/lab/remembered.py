"""What routers remember of one packet each: one process goes round all hosts and routers of a lab.

`remembered` starts it (`tests.lab.visiting`).
"""

from __future__ import annotations

import contextlib
import json
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from tests.lab.visiting import bound, go_round, visit

if TYPE_CHECKING:  # not needed inside
    from lab.client import Lab

SERVER = "192.0.2.10"
SILENT, ECHO = 9, 42000  # its ports: it answers on the second alone
PORT = 41999  # from which all ask
EVERY, PATIENCE = 0.1, 20.0  # seconds between two packets of a conversation, and for it to be one


@dataclass(frozen=True, slots=True)
class Remembered:
    """What a router says of the packet from the host behind it."""

    flow: str  # the kernel's own line, empty if there is none
    passed: float  # seconds from before the packet until after the reading
    tables: dict[str, list[Any]] = field(default_factory=dict)  # nft's, by name

    @property
    def left(self) -> int:
        return int(self.flow.split()[4])

    def left_in(self, table: str) -> int:
        """Of the entry with our port on its inside."""
        for entry in self.tables[table]:
            key, inside = entry if table == "in" else (entry, entry["elem"]["val"])
            if inside["concat"][1] == PORT:
                left: int = key["elem"]["expires"]
                return left
        raise AssertionError(f"our port is not in {table}: {self.tables[table]}")


def remembered(
    lab: Lab, routers: Sequence[str], tables: Mapping[str, Sequence[str]], talking: Sequence[str]
) -> tuple[dict[str, Remembered], dict[str, str]]:
    """By router: what it remembers of one packet; and the flows of conversations, once they are such."""
    machines = ["judge", *routers, *(f"{router}-1" for router in routers)]
    asked = {name: list(tables.get(name, ())) for name in routers}
    said, flows = go_round(lab, machines, "tests.lab.remembered", asked, list(talking))
    return {name: Remembered(**each) for name, each in said.items()}, flows


# --- the process


def flow(router: int, port: int) -> str:
    visit(router)
    with open("/proc/self/net/nf_conntrack") as lines:
        return next((line for line in lines if f" dport={port} " in line), "")


def table(name: str) -> list[Any]:
    """Of the router that is visited."""
    kind = "map" if name == "in" else "set"
    argv = ["nft", "-j", "list", kind, "ip", "punchlab", name]
    said = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)
    [found] = [each[kind] for each in said["nftables"] if kind in each]
    elements: list[Any] = found["elem"]
    return elements


def ask_once(host: int, router: int, tables: Sequence[str]) -> Remembered:
    before = time.monotonic()
    with bound(host, "", PORT) as asking:
        asking.sendto(b"x", (SERVER, SILENT))
    while not (found := flow(router, SILENT)) and time.monotonic() < before + PATIENCE:
        pass  # it was sent, but a busy kernel carries it over later
    held = {name: table(name) for name in tables}
    return Remembered(found, time.monotonic() - before, held)


def converse(judge: int, ends: Mapping[str, tuple[int, int]]) -> dict[str, str]:
    """Both ways until each router's kernel takes the flow for a stream: after two seconds."""
    echo = bound(judge, SERVER, ECHO)
    talking = [bound(host, "", PORT + 1) for host, _ in ends.values()]
    until, flows = time.monotonic() + PATIENCE, dict.fromkeys(ends, "")
    while time.monotonic() < until and not all("[ASSURED]" in each for each in flows.values()):
        for each in talking:
            each.sendto(b"x", (SERVER, ECHO))
        next_beat = time.monotonic() + EVERY
        while select.select([echo], [], [], max(0.0, next_beat - time.monotonic()))[0]:
            with contextlib.suppress(BlockingIOError):
                echo.sendto(*echo.recvfrom(9))
        flows = {name: flow(router, ECHO) for name, (_, router) in ends.items()}
    return flows


def main() -> None:
    fds, tables, talking = json.loads(sys.argv[1])
    said = {
        name: asdict(ask_once(fds[f"{name}-1"], fds[name], held)) for name, held in tables.items()
    }
    flows = converse(fds["judge"], {name: (fds[f"{name}-1"], fds[name]) for name in talking})
    print(json.dumps([said, flows]))


if __name__ == "__main__":
    main()
