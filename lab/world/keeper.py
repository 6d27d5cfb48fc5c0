"""PID 1 of a lab: builds it, starts and watches its daemons, records events, answers the control socket.

It runs in mount, PID and network namespaces of its own, and in a user namespace if its user is not
root. All that it makes hangs on it: when it ends, by whatever cause, the kernel ends every process
in the PID namespace, and with them go namespaces, links, rules and mounts.

Until it is ready it is tied to its starter by a socket: if the starter goes away first, it ends at once. A
starter that does not let go of it then takes it along whenever it ends.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import selectors
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from lab.errors import BuildFailed, LabError
from lab.model.plan import Plan

READY_WITHIN = 20.0  # seconds since the last one; a node waits for its relay at the longest
GRACE = 0.4  # seconds for the daemons to say goodbye
_HEARD = b"\n"


class Starter:
    """The command that started us, waiting on the other end of a socket."""

    def __init__(self, fd: int) -> None:
        self._socket: socket.socket | None = socket.socket(fileno=fd)
        self._socket.set_inheritable(False)
        threading.Thread(target=self._end_with_it, args=(self._socket,), daemon=True).start()

    @staticmethod
    def _end_with_it(connection: socket.socket) -> None:
        heard = b""
        with contextlib.suppress(OSError):
            heard = connection.recv(1)
        if heard != _HEARD:
            os._exit(1)
        connection.close()

    def progress(self, text: str) -> None:
        self._say({"progress": text})

    def ready(self) -> None:
        self._say({"ready": True})
        self._socket = None  # the thread closes it, when we are let go

    def failed(self, error: LabError) -> None:
        kind = type(error).__name__
        self._say({"failed": kind, "problem": error.problem, "hint": error.hint})

    def _say(self, words: dict[str, Any]) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # gone: the thread sees it too
                self._socket.sendall(json.dumps(words).encode() + b"\n")


class Keeper:
    def __init__(self, name: str, folder: Path, starter: Starter, in_user_namespace: bool) -> None:
        # These take a quarter of a second to import; by now the starter is watched.
        from lab.world import mounts
        from lab.world.answers import Answers
        from lab.world.build import build
        from lab.world.changing import Changing
        from lab.world.control import Control
        from lab.world.counting import Counting
        from lab.world.cutting import Cutting
        from lab.world.impairments import Impairments
        from lab.world.namespaces import Visitor
        from lab.world.record import Record
        from lab.world.roster import roster_of
        from lab.world.rules import has_legacy
        from lab.world.supervisor import Supervisor
        from lab.world.tapping import Tapping

        self._name = name
        self._starter = starter
        self._selector = selectors.DefaultSelector()
        self._stop_at: float | None = None
        self._started = time.monotonic()
        folder = mounts.enter_own_tree(name, folder)
        self.plan = Plan.from_json((folder / "plan.json").read_text())
        self._record = Record(folder / "events.jsonl")
        self._watch_signals()
        world = build(self.plan, Visitor(), starter.progress)
        for host, namespace in world.namespaces.items():
            mounts.name_namespace(host, namespace.fd)
        if any(machine.rules for machine in self.plan.machines) and has_legacy():
            mounts.show_legacy_rules()
        self._supervisor = Supervisor(world, folder, self._record, self._selector)
        self._supervisor.prepare(self.plan, roster_of(self.plan))
        answers = Answers(
            world, self._supervisor, self._record, self._summary, self.stop, in_user_namespace
        )
        impairments = Impairments(world, self._record, self._selector, folder)
        impairments.apply()
        cutting = Cutting(world, self._record)
        changing = Changing(world, folder, self._record, self._supervisor, impairments, cutting)
        tapping, counting = Tapping(world, folder), Counting(world)
        parts = (answers, impairments, cutting, changing, tapping, counting)
        handlers = {word: each for part in parts for word, each in part.handlers().items()}
        control = Control(folder / "control.sock", self._selector, handlers)
        self._record.on_append = control.ring

    def run(self) -> None:
        self._start_daemons()
        self._record.add("lab", "up", seconds=time.monotonic() - self._started)
        self._starter.ready()
        while self._stop_at is None:
            self._turn(None)
        while self._supervisor.anybody_left and time.monotonic() < self._stop_at:
            self._turn(self._stop_at)

    def stop(self) -> None:
        if self._stop_at is None:
            self._stop_at = time.monotonic() + GRACE
            self._record.add("lab", "down")
            self._supervisor.on_failure = None
            self._supervisor.terminate_all()

    def _start_daemons(self) -> None:
        failures: list[BuildFailed] = []
        self._supervisor.on_failure = failures.append
        if self.plan.daemons:
            self._starter.progress(f"daemons of {', '.join(d.host for d in self.plan.daemons)}")
        self._supervisor.start_all()
        late, until = -1, 0.0
        while self._is_waiting(failures):
            if self._supervisor.late != late:  # one is ready: the others, too, get their time
                late, until = self._supervisor.late, time.monotonic() + READY_WITHIN
            is_over = time.monotonic() > until
            self._turn(until)  # once more: perhaps it was us who stood still
            if is_over and self._is_waiting(failures) and self._supervisor.late == late:
                raise self._supervisor.not_ready(READY_WITHIN)
        if failures:
            raise failures[0]
        if self._stop_at is not None:
            raise BuildFailed(f"{self._name} was taken down while it came up")
        self._supervisor.on_failure = None

    def _is_waiting(self, failures: Sequence[BuildFailed]) -> bool:
        return bool(self._supervisor.late) and not failures and self._stop_at is None

    def _turn(self, until: float | None) -> None:
        wait = None if until is None else max(0.0, until - time.monotonic())
        for key, events in self._selector.select(wait):
            # What came earlier in this round may have closed it.
            if self._selector.get_map().get(key.fd) == key:
                key.data(events)

    def _watch_signals(self) -> None:
        reading, writing = socket.socketpair()
        for each in (reading, writing):
            each.setblocking(False)
        signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, _wake)
        self._wakeup = (reading, writing)
        self._selector.register(reading, selectors.EVENT_READ, self._signalled)

    def _signalled(self, _: int) -> None:
        numbers = self._wakeup[0].recv(4096)
        if signal.SIGTERM in numbers:
            self.stop()
        self._supervisor.reap()

    def _summary(self) -> dict[str, Any]:
        return {
            "lab": self._name,
            "topology": self.plan.topology,
            "up_seconds": time.monotonic() - self._started,
        }


def _wake(number: int, frame: FrameType | None) -> None:
    """The signal's number arrives on the wakeup socket."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.world.keeper")
    parser.add_argument("--lab", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--report", type=int, required=True)
    parser.add_argument("--in-user-namespace", action="store_true")
    args = parser.parse_args()
    starter = Starter(args.report)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # two for each machine
    try:
        # /proc is still the machine's, so this is our number for those outside.
        (args.folder / "pid").write_text(os.readlink("/proc/self"))
        Keeper(args.lab, args.folder, starter, args.in_user_namespace).run()
        os._exit(0)  # all is written; Python's own tidying up takes as long as everything else
    except LabError as error:
        starter.failed(error)
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        starter.failed(BuildFailed(f"the lab cannot be built: {where}{error.strerror}"))
        sys.exit(1)
    except Exception as error:
        last = "".join(traceback.format_exception_only(error)).strip()
        starter.failed(BuildFailed(f"the keeper broke: {last}", traceback.format_exc()))
        sys.exit(1)


if __name__ == "__main__":
    main()
