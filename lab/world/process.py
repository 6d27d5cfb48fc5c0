"""One running daemon: its pipes, its log file, its state."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from lab.world.daemons.contract import Daemon
from lab.world.logfile import LogFile
from lab.world.pipes import Pipe

State = Literal["starting", "ready", "frozen", "exited"]


@dataclass(slots=True)
class Process:
    host: str
    runs: str
    daemon: Daemon
    log: LogFile
    state: State = "starting"
    popen: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    restart_wanted: bool = False
    events: int = 0  # that it told since it was started
    pipes: tuple[Pipe, ...] = field(default=(), repr=False)  # stdout, stderr

    @property
    def pid(self) -> int | None:
        return self.popen.pid if self.popen is not None and self.state != "exited" else None

    def spawn(
        self,
        argv: list[str],
        start: Callable[[Callable[[], subprocess.Popen[bytes]]], subprocess.Popen[bytes]],
    ) -> None:
        """`start` calls what it is given inside the machine."""
        folder = self.daemon.place.folder

        def run() -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                start_new_session=True,
            )

        self.popen = start(run)
        assert self.popen.stdout is not None
        assert self.popen.stderr is not None
        self.pipes = (Pipe(self.popen.stdout), Pipe(self.popen.stderr))
        self.events = 0
        self.state = "starting"
