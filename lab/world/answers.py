"""What the keeper answers: a handler for each question that a client may ask."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from lab.errors import BadRequest
from lab.model.plan import Machine
from lab.world import mounts
from lab.world.build import World
from lab.world.cables import Cables
from lab.world.control import Answer, Handler
from lab.world.process import Process
from lab.world.record import Record
from lab.world.supervisor import Supervisor

Question = Mapping[str, Any]
_PINGS = 3  # of the system's ping, when nobody says how many


class Answers:
    def __init__(
        self,
        world: World,
        supervisor: Supervisor,
        record: Record,
        summary: Callable[[], dict[str, Any]],
        stop: Callable[[], None],
        in_user_namespace: bool,
    ) -> None:
        self._world = world
        self._supervisor = supervisor
        self._record = record
        self._summary = summary
        self._stop = stop
        self._own = {
            kind: os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
            for kind in ("user", "pid", "net", "mnt")
        }
        if not in_user_namespace:
            del self._own["user"]
        self._cables = Cables(world, record)

    def handlers(self) -> dict[str, Handler]:
        return {
            "status": self._status,
            "path": self._path,
            "hear": self._hear,
            "enter": self._enter,
            "ping_argv": self._ping_argv,
            "status_argv": self._status_argv,
            "unplug": lambda q: Answer({"wires": self._cables.unplug(self._machine(q).name)}),
            "plug": lambda q: Answer({"wires": self._cables.plug(self._machine(q).name)}),
            "daemon": self._daemon,
            "down": self._down,
        }

    def _machine(self, question: Question, word: str = "host") -> Machine:
        return self._world.plan.machine(question[word])

    def _enter(self, question: Question) -> Answer:
        fds = dict(self._own)
        if question["host"] is not None:
            machine = self._machine(question).name
            fds["net"] = self._world.namespaces[machine].fd
            fds["mnt"] = self._supervisor.mounts_of(machine)
        return Answer({"kinds": list(fds), "path": str(mounts.BIN)}, tuple(fds.values()))

    def _hear(self, _: Question) -> Answer:
        self._supervisor.hear_all()
        return Answer({})

    def _path(self, question: Question) -> Answer:
        self._supervisor.hear_all()  # one may have said more than was read
        host, peer = self._machine(question).name, self._machine(question, "peer").name
        return Answer(self._record.path(host, peer))

    def _ping_argv(self, question: Question) -> Answer:
        host, peer = self._machine(question).name, self._machine(question, "peer").name
        options: Question = question["options"]
        process = self._supervisor.processes.get(host)
        argv = process.daemon.ping_argv(peer, options) if process else None
        if argv is None and options.get("until_direct"):
            raise BadRequest(
                f"{host} runs nothing that could say how it reaches {peer}",
                "leave out --until-direct for an ordinary ping",
            )
        return Answer({"argv": argv or self._plain_ping(host, peer, options)})

    def _status_argv(self, question: Question) -> Answer:
        process = self._supervisor.processes.get(self._machine(question).name)
        is_ready = process is not None and process.state == "ready"
        return Answer({"argv": process.daemon.status_argv() if process and is_ready else None})

    def _plain_ping(self, host: str, peer: str, options: Question) -> list[str]:
        members = self._supervisor.roster.members
        if host in members and peer in members:
            address = members[peer].overlay[0]
        elif (known := self._world.plan.underlay.get(peer)) is not None:
            address = known
        else:
            raise BadRequest(f"{peer} has no address to ping")
        argv = ["ping", "-c", str(options.get("count") or _PINGS)]
        if timeout := options.get("timeout"):
            argv += ["-w", f"{timeout:.0f}"]
        return [*argv, address]

    def _daemon(self, question: Question) -> Answer:
        host = self._machine(question).name
        return Answer({"at": self._supervisor.act(host, question["action"])})

    def _down(self, _: Question) -> Answer:
        self._stop()
        return Answer()

    def _status(self, _: Question) -> Answer:
        self._supervisor.hear_all()
        members = list(self._supervisor.roster.members)
        status = self._summary() | {
            "hosts": [
                self._host(machine)
                for machine in self._world.plan.machines
                if machine.kind != "internet"
            ],
            "paths": [self._record.path(a, b) for a in members for b in members if a != b],
        }
        return Answer({"status": status, "ready": self._supervisor.is_settled})

    def _host(self, machine: Machine) -> dict[str, Any]:
        addresses = [
            address.partition("/")[0]
            for interface in machine.interfaces
            if interface.name != "lo"
            for address in interface.addresses
            if not address.startswith("fe80:")  # everybody has one; it tells nothing
        ]
        if member := self._supervisor.roster.members.get(machine.name):
            addresses += member.overlay
        process = self._supervisor.processes.get(machine.name)
        return {
            "name": machine.name,
            "kind": machine.kind,
            "addresses": addresses,
            "daemon": _daemon(process) if process else None,
        }


def _daemon(process: Process) -> dict[str, Any]:
    return {
        "name": process.runs,
        "state": process.state,
        "pid": process.pid,
        "restarts": process.restarts,
    }
