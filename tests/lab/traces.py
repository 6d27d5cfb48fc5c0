"""What a lab could leave behind, and a look at whether it did."""

from __future__ import annotations

import fcntl
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PF_EXITING = 0x4  # of the flags in proc(5), stat


@dataclass(frozen=True)
class Traces:
    """By what a lab can be known from outside: its folder, its PID namespace, the machine's links."""

    folder: Path
    pid_namespace: str
    links: frozenset[str]
    held: IO[bytes] | None = (
        None  # while it is, no other lab's namespace is given this one's number
    )

    def processes(self) -> list[str]:
        """All in the lab's PID namespace, and all that name its folder."""
        return [
            process.name
            for process in Path("/proc").iterdir()
            if process.name.isdigit() and self._belongs(process)
        ]

    def mounts(self) -> list[str]:
        table = Path("/proc/self/mountinfo").read_text().splitlines()
        return [line for line in table if str(self.folder) in line]

    def left(self) -> dict[str, object]:
        """Empty when nothing is."""
        found = {
            "processes": self.processes(),
            "mounts": self.mounts(),
            "links": machine_links() ^ self.links,
        }
        return {kind: what for kind, what in found.items() if what}

    def _belongs(self, process: Path) -> bool:
        try:
            if is_ending(process):
                return False
            if os.readlink(process / "ns/pid_for_children") == self.pid_namespace:
                return True
            words = (process / "cmdline").read_bytes().split(b"\0")
            return str(self.folder).encode() in words
        except OSError:
            return False


class TasksTraces(Traces):
    """Of a lab in a state folder of its own, which all that belongs to it has in its environment.

    Nobody holds its namespace, whose number may since be another lab's.
    """

    def _belongs(self, process: Path) -> bool:
        try:
            words = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return f"PUNCHLAB_STATE={self.folder.parent}".encode() in words


def traces_of(folder: Path) -> Traces:
    """Of a lab whose keeper is alive."""
    namespace = Path(f"/proc/{keeper(folder)}/ns/pid")
    held = namespace.open("rb", buffering=0)
    return Traces(folder, os.readlink(namespace), machine_links(), held)


def is_ending(process: Path) -> bool:
    """Its files and locks are gone, so whoever waits for those goes on, perhaps before its namespaces are."""
    flags = int((process / "stat").read_text().rpartition(")")[2].split()[6])
    return bool(flags & PF_EXITING)


def machine_links() -> frozenset[str]:
    return frozenset(os.listdir("/sys/class/net"))


def keeper(folder: Path) -> int:
    return int((folder / "pid").read_text())


def kill_keeper(folder: Path) -> None:
    """SIGKILL, and the wait until its parent has let go of the folder too."""
    os.kill(keeper(folder), signal.SIGKILL)
    wait_for_end(folder)


def wait_for_end(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
    finally:
        os.close(fd)


def left_of(note: Path, within: float = 0.0) -> dict[str, object]:
    """What is still there of the lab that a task has noted; some ends have a moment's time for it."""
    traces = TasksTraces(Path(note.read_text()), "", machine_links())
    until = time.monotonic() + within
    while (left := everything(traces)) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def everything(traces: Traces) -> dict[str, object]:
    folders = {"folder": traces.folder} if traces.folder.parent.exists() else {}
    return {**traces.left(), **folders}
