"""The daemons of a lab: started in their machines, listened to, and noticed when they end.

A daemon that dies while the lab comes up fails the lab. One that dies later is an event, shown in the status;
nobody starts it again unasked, because a lab is for seeing such things.
"""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import signal
import subprocess
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from lab.errors import BadRequest, BuildFailed, CannotHere, LabError
from lab.model.plan import Plan
from lab.world import mounts
from lab.world.build import World
from lab.world.daemons.contract import Event, Place
from lab.world.daemons.known import daemon_class
from lab.world.logfile import LogFile
from lab.world.pipes import Pipe
from lab.world.process import Process
from lab.world.programs import find
from lab.world.record import Record
from lab.world.roster import Roster

_LOG_TAIL = 10  # lines of a dead daemon's log, shown when it fails a lab
_LAST_WORDS = 0.5  # seconds for them, of a daemon that ends while the lab comes up
_MOST_EVENTS = 100_000  # of one daemon; they are on disk, and everybody who looks reads them
T = TypeVar("T")
_SIGNALS = {
    "stop": signal.SIGTERM,
    "restart": signal.SIGTERM,
    "kill": signal.SIGKILL,
    "freeze": signal.SIGSTOP,
    "thaw": signal.SIGCONT,
}


class Supervisor:
    def __init__(
        self, world: World, folder: Path, record: Record, selector: selectors.BaseSelector
    ) -> None:
        self._world = world
        self._folder = folder
        self._record = record
        self._selector = selector
        self.processes: dict[str, Process] = {}
        self.roster: Roster
        self.on_failure: Callable[[BuildFailed], None] | None = None  # set until the lab is ready

    def prepare(self, plan: Plan, roster: Roster) -> None:
        """A folder for each daemon; and whether the machine has what it needs."""
        self.roster = roster
        for each in plan.daemons:
            kind = daemon_class(each.runs)
            for program in kind.needs:
                if find(program) is None:
                    package = kind.packages.get(program, program)
                    raise CannotHere(
                        f"{each.host} runs {each.runs}, which needs {program}",
                        f"apt-get install -y --no-install-recommends {package}",
                    )
            if kind.needs_tun and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
                raise CannotHere(
                    f"{each.host} runs {each.runs}, which needs /dev/net/tun",
                    "lab.doctor says how to get it",
                )
            place = Place(
                each.host,
                plan.underlay.get(each.host, ""),
                self.files_of(each.host),
                roster,
                plan.machine(each.host).addresses,
            )
            daemon = _asked(each.host, each.runs, partial(kind, place, each.settings))
            log = LogFile(self._folder / "logs" / f"{each.host}.log")
            self.processes[each.host] = Process(each.host, each.runs, daemon, log)

    def start_all(self) -> None:
        for process in self.processes.values():
            self._start(process)

    def files_of(self, machine: str) -> Path:
        folder = self._folder / "hosts" / machine
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def mounts_of(self, machine: str) -> int:
        """The machine's mount namespace, made for its first process."""
        namespace = self._world.namespaces[machine]
        if namespace.mounts is None:
            files = self.files_of(machine)
            lines = self._world.plan.machine(machine).hosts
            (files / "hosts").write_text("".join(f"{a}\t{name}\n" for a, name in lines))
            (files / "resolv.conf").touch()
            namespace.mounts = self._world.visitor.new_mounts(
                namespace.fd, partial(mounts.furnish, files)
            )
        return namespace.mounts

    @property
    def late(self) -> int:
        """How many daemons are not ready."""
        return sum(process.state != "ready" for process in self.processes.values())

    @property
    def is_settled(self) -> bool:
        """The lab is up: from now on a daemon's end is an event, not a failure."""
        return self.on_failure is None

    def not_ready(self, seconds: float) -> BuildFailed:
        late = [process for process in self.processes.values() if process.state != "ready"]
        names = ", ".join(f"the {process.runs} of {process.host}" for process in late)
        return BuildFailed(f"not ready after {seconds:g} s: {names}", late[0].log.tail(_LOG_TAIL))

    def act(self, host: str, action: str) -> float:
        """Does what was asked for; the events tell when it is done. Returns the time of the asking."""
        process = self.processes.get(host)
        if process is None:
            raise BadRequest(f"{host} runs no daemon")
        at = self._record.add(host, "daemon", state="told", action=action)
        if action in ("start", "restart") and process.state == "exited":
            process.restarts += 1
            self._start(process)
        elif action == "start" or process.pid is None:
            self._tell(process, process.state)  # it is so already
        else:
            process.restart_wanted = action == "restart"
            os.kill(process.pid, _SIGNALS[action])
            if action in ("freeze", "thaw"):
                self._tell(process, "frozen" if action == "freeze" else "ready")
        return at

    def reap(self) -> None:
        """Takes the exit status of every process that ended: our daemons', and as PID 1 all orphans'."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for process in self.processes.values():
                if process.pid == pid:
                    self._ended(process, os.waitstatus_to_exitcode(status))

    def terminate_all(self) -> None:
        for process in self.processes.values():
            if process.pid is not None:
                os.kill(process.pid, signal.SIGTERM)
                if process.state == "frozen":
                    os.kill(process.pid, signal.SIGCONT)

    @property
    def anybody_left(self) -> bool:
        return any(process.pid is not None for process in self.processes.values())

    def _start(self, process: Process) -> None:
        namespace = self._world.namespaces[process.host]
        inside = self.mounts_of(process.host)
        argv = _asked(process.host, process.runs, process.daemon.argv)

        def start(run: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
            return self._world.visitor.inside(namespace.fd, run, inside)

        try:
            process.spawn(argv, start)
        except OSError as error:
            process.state = "exited"
            problem = f"{process.host}: {process.runs} does not start: {error.strerror}"
            raise BuildFailed(f"{problem}: {error.filename}") from None
        for pipe in reversed(process.pipes):  # what is in the log before what it leads to
            hear = partial(self._hear, process, pipe)
            self._selector.register(pipe.stream, selectors.EVENT_READ, hear)
        self._tell(process, "starting")
        if process.daemon.is_ready_at_once():
            self._tell(process, "ready")

    def hear_all(self) -> None:
        """What all daemons have said by now."""
        for process in self.processes.values():
            for pipe in reversed(process.pipes):
                self._hear(process, pipe)

    def _hear(self, process: Process, pipe: Pipe, _: int = 0) -> None:
        """What a daemon says, until nobody is left who could say more."""
        if not pipe.is_open:
            return
        data = pipe.read()
        lines = pipe.lines(data)
        hear = self._read_log if pipe in process.pipes[1:] else self._read_events
        try:
            _asked(process.host, process.runs, partial(hear, process, data, lines))
        except BuildFailed as error:  # a class from outside that cannot read its own daemon
            process.log.write(f"{error}\n".encode())
            if self.on_failure is not None:
                self.on_failure(error)
        if not pipe.is_open:
            self._selector.unregister(pipe.stream)
            pipe.close()

    def _hear_out(self, process: Process, patience: float) -> None:
        """Its last words; those that a helper of its own still holds (tee) are worth a moment."""
        until = time.monotonic() + patience
        for pipe in process.pipes:
            self._hear(process, pipe)
            while pipe.is_open and (left := until - time.monotonic()) > 0:
                select.select([pipe.stream], [], [], left)
                self._hear(process, pipe)

    def _read_events(self, process: Process, data: bytes, lines: list[str]) -> None:
        daemon = process.daemon
        words: list[str] = []
        for line in lines:
            event = daemon.event(line)
            if event is not None:
                self._take(process, event)
            elif daemon.is_plain:
                words.append(f"{line}\n")
            if process.state == "starting" and daemon.says_ready(line, event):
                # Who waits for it may look into its log at once.
                process.log.write("".join(words).encode())
                words.clear()
                self._hear(process, process.pipes[1])
                self._tell_ready(process)
        process.log.write("".join(words).encode())

    def _read_log(self, process: Process, data: bytes, lines: list[str]) -> None:
        process.log.write(data)
        if process.state != "starting" or not process.daemon.is_plain:
            return
        if any(process.daemon.says_ready(line, None) for line in lines):
            self._tell_ready(process)

    def _take(self, process: Process, event: Event) -> None:
        process.events += 1
        if process.events <= _MOST_EVENTS:
            self._record.add_from(process.host, event)
        elif process.events == _MOST_EVENTS + 1:
            self._record.add(process.host, "flood", after=_MOST_EVENTS)

    def _ended(self, process: Process, status: int) -> None:
        self._hear_out(process, _LAST_WORDS if self.on_failure is not None else 0.0)
        assert process.popen is not None
        process.popen.returncode = status  # we took it, so nobody else can
        self._record.forget_paths(process.host)  # first: who waits for the end, finds it complete
        self._tell(process, "exited", status=status)
        if self.on_failure is not None:
            self.on_failure(BuildFailed(*_obituary(process, status)))
        elif process.restart_wanted:
            process.restart_wanted = False
            process.restarts += 1
            with contextlib.suppress(BuildFailed):  # its end was told already
                self._start(process)

    def _tell_ready(self, process: Process) -> None:
        if process.state == "starting":  # its words on the other pipe may have said so, too
            self._tell(process, "ready")

    def _tell(self, process: Process, state: str, **fields: int) -> None:
        pid = process.pid if process.popen is not None else None
        process.state = state  # type: ignore[assignment]
        self._record.add(process.host, "daemon", name=process.runs, state=state, pid=pid, **fields)


def _obituary(process: Process, status: int) -> tuple[str, str]:
    how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
    problem = f"{process.host}: its {process.runs} ended at the start ({how})"
    return problem, process.log.tail(_LOG_TAIL) or "it wrote no log"


def _asked(host: str, runs: str, question: Callable[[], T]) -> T:
    """What a daemon's class answers. It may be anybody's, and wrong; that is no reason to end the lab."""
    try:
        return question()
    except (LabError, OSError):
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"{host}: the class {runs} is wrong: {type(error).__name__}: {error}"
        raise BuildFailed(problem, f"{where.filename}, line {where.lineno}") from None
