"""One running daemon: its pipes, its log file, its state."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

from lab.world.daemons.contract import Daemon

State = Literal["starting", "ready", "frozen", "exited"]
_CHUNK = 1 << 16


@dataclass(slots=True)
class Process:
    host: str
    runs: str
    daemon: Daemon
    log: Path
    state: State = "starting"
    popen: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    restart_wanted: bool = False
    has_more: bool = False  # its stdout is open, as far as we know
    _rest: bytes = field(default=b"", repr=False)

    @property
    def pid(self) -> int | None:
        return self.popen.pid if self.popen is not None and self.state != "exited" else None

    @property
    def stdout(self) -> IO[bytes]:
        assert self.popen is not None
        assert self.popen.stdout is not None
        return self.popen.stdout

    def spawn(
        self, start: Callable[[Callable[[], subprocess.Popen[bytes]]], subprocess.Popen[bytes]]
    ) -> None:
        """`start` calls what it is given inside the machine."""
        argv = self.daemon.argv()
        folder = self.daemon.place.folder

        def run() -> subprocess.Popen[bytes]:
            with self.log.open("ab") as log:
                return subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    cwd=folder,
                    start_new_session=True,
                )

        self.popen = start(run)
        os.set_blocking(self.stdout.fileno(), False)
        self._rest = b""
        self.has_more = True
        self.state = "starting"

    def read_lines(self) -> Iterator[str]:
        """The whole lines that are there."""
        while chunk := self._read():
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode(errors="replace")

    def _read(self) -> bytes:
        try:
            chunk = os.read(self.stdout.fileno(), _CHUNK)
        except BlockingIOError:
            return b""
        self.has_more = bool(chunk)
        return chunk

    def log_tail(self, lines: int) -> str:
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])
