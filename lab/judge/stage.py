"""The strings of the puppets: sockets in several machines, moved from one place.

    stage = Stage(lab.popen)
    inside = stage.open("node-a", "192.168.1.10")
    outside = stage.open("internet", "192.0.2.1", 7000)
    inside.send(outside, "hello")
    arrival = outside.hear("hello", within=1.0)     # with the address that the NAT gave it

What did *not* come is known by what came after it: a packet that surely passes is sent behind the one
in question, on the same way, and once it is there the other has had its chance.
"""

from __future__ import annotations

import itertools
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

Popen = Callable[..., "subprocess.Popen[Any]"]

PUPPET = Path(__file__).with_name("puppet.py")
START_PATIENCE = 120.0  # seconds for all programs to start on a busy machine


class Endpoint(NamedTuple):
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


NOWHERE = Endpoint("", 0)


class Arrival(NamedTuple):
    source: Endpoint
    text: str


class StageError(Exception):
    """A puppet died, or could not do as it was told."""


@dataclass(slots=True)
class Socket:
    """One socket in one machine; `arrivals` is what it has heard."""

    stage: Stage
    machine: str
    name: str
    here: Endpoint = NOWHERE
    arrivals: list[Arrival] = field(default_factory=list)
    refusals: int = 0
    problem: str | None = None

    def send(self, to: Endpoint, text: str) -> None:
        self.stage.tell(self.machine, ["send", self.name, *to, text])

    def hear(self, text: str, within: float) -> Endpoint | None:
        """Where that text came from; None when it does not come in time."""
        self.stage.wait(lambda: self.heard(text), within)
        return next((each.source for each in self.arrivals if each.text == text), None)

    def heard(self, text: str) -> bool:
        return any(each.text == text for each in self.arrivals)

    def close(self) -> None:
        self.stage.tell(self.machine, ["close", self.name])


class Stage:
    def __init__(self, popen: Popen) -> None:
        self._popen = popen
        self._puppets: dict[str, subprocess.Popen[Any]] = {}
        self._sockets: dict[str, Socket] = {}
        self._rest: dict[str, bytes] = {}
        self._pids: dict[str, int] = {}
        self._fences: dict[str, int] = {}
        self._count = itertools.count(1)
        self._fresh = 0  # arrivals at all sockets since somebody asked

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for puppet in self._puppets.values():
            puppet.stdin.close()  # type: ignore[union-attr]
        for puppet in self._puppets.values():
            with puppet:  # all are ending by now, side by side
                pass

    def enter(self, machines: Sequence[str]) -> None:
        """Starts the puppets of these machines, side by side."""
        for machine in machines:
            if machine not in self._puppets:
                argv = [sys.executable, "-I", "-S", str(PUPPET)]
                pipe = subprocess.PIPE
                puppet = self._popen(machine, argv, stdin=pipe, stdout=pipe, bufsize=0)
                self._puppets[machine], self._rest[machine] = puppet, b""

    def pid(self, machine: str) -> int:
        """Of its puppet, as the lab counts processes."""
        self.wait(lambda: machine in self._pids, START_PATIENCE)
        if machine not in self._pids:
            raise StageError(f"{machine}: the puppet did not start in time")
        return self._pids[machine]

    def open(self, machine: str, address: str, port: int = 0, device: str = "") -> Socket:
        """`device`: the uplink that it shall keep to, whatever the routes say."""
        [opened] = self.open_all([(machine, address, port)], device)
        return opened

    def open_all(self, wanted: Sequence[tuple[str, str, int]], device: str = "") -> list[Socket]:
        self.enter([machine for machine, _, _ in wanted])
        new = []
        for machine, address, port in wanted:
            name = str(next(self._count))
            self._sockets[name] = Socket(self, machine, name)
            new.append(self._sockets[name])
            self.tell(machine, ["open", name, address, port, device])
        self.wait(lambda: all(each.here.port or each.problem for each in new), START_PATIENCE)
        for each in new:
            if not each.here.port:
                raise StageError(f"{each.machine}: {each.problem or 'no socket in time'}")
        return new

    def tag(self) -> str:
        """A text that nobody else sends."""
        return f"t{next(self._count)}"

    def tell(self, machine: str, order: list[Any]) -> None:
        try:
            self._puppets[machine].stdin.write(json.dumps(order).encode() + b"\n")  # type: ignore[union-attr]
        except BrokenPipeError:
            raise StageError(f"{machine}: the puppet is gone") from None

    def wait(self, until: Callable[[], bool], within: float) -> bool:
        """Listens to all puppets until it is so, or the time is over."""
        end = time.monotonic() + within
        by_number = {puppet.stdout.fileno(): name for name, puppet in self._puppets.items()}  # type: ignore[union-attr]
        while not until():
            left = end - time.monotonic()
            if left <= 0:
                return False
            ready, _, _ = select.select(list(by_number), [], [], left)
            for number in ready:
                self._listen(by_number[number], number)
        return True

    def hears_more(self, within: float) -> bool:
        """Whether anything came, at any socket, since the last time this was asked."""
        came = self.wait(lambda: self._fresh > 0, within)
        self._fresh = 0
        return came

    def settle(self) -> float:
        """Until every puppet has done what it was told and read what it had got by then.

        Returns how long that took: it tells how busy the machine is."""
        start = time.monotonic()
        for _ in "12":  # orders come before ears, so the second answer has the first one's news
            fence = next(self._count)
            for machine in self._puppets:
                self.tell(machine, ["done?", fence])
            self.wait(partial(self._passed, fence), START_PATIENCE)
        return time.monotonic() - start

    def _passed(self, fence: int) -> bool:
        return all(self._fences.get(machine) == fence for machine in self._puppets)

    def pause(self, seconds: float) -> None:
        self.wait(lambda: False, seconds)

    def _listen(self, machine: str, number: int) -> None:
        got = os.read(number, 65536)
        if not got:
            raise StageError(f"{machine}: the puppet is gone")
        *lines, self._rest[machine] = (self._rest[machine] + got).split(b"\n")
        for line in lines:
            self._note(machine, json.loads(line))

    def _note(self, machine: str, words: list[Any]) -> None:
        match words:
            case ["done", fence]:
                self._fences[machine] = fence
            case ["started", pid]:
                self._pids[machine] = pid
            case ["opened", name, address, port]:
                self._sockets[name].here = Endpoint(address, port)
            case ["heard", name, address, port, text]:
                self._sockets[name].arrivals.append(Arrival(Endpoint(address, port), text))
                self._fresh += 1
            case ["refused", name]:
                self._sockets[name].refusals += 1
            case ["failed", name, why]:
                self._sockets[name].problem = why
