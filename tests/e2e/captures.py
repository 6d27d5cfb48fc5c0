"""Packet captures in several machines at once, to be searched afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.pytest_plugin import Net


@dataclass(frozen=True)
class Captures:
    files: dict[str, Path]

    def machines_that_saw(self, marker: bytes) -> set[str]:
        """Where these bytes went by, whatever the protocol around them."""
        return {name for name, file in self.files.items() if marker in file.read_bytes()}


@contextmanager
def captured(
    net: Net, machines: Sequence[str], folder: Path, words: str = ""
) -> Iterator[Captures]:
    """Everything (or what `words`, a capture filter, picks) on all interfaces of these machines.

    Capturing has begun when the block begins, and the files are whole when it ends.
    """
    files = {machine: folder / f"{machine}.pcap" for machine in machines}
    running = [sniff(net, machine, file, words) for machine, file in files.items()]
    try:
        yield Captures(files)
    finally:
        for process in running:
            while is_reading(process):
                pass
            process.terminate()
            process.communicate(timeout=10)


def sniff(net: Net, machine: str, file: Path, words: str) -> subprocess.Popen[str]:
    # Immediate mode: a packet is in the file as soon as it was seen, not when a buffer is full.
    argv = ["tcpdump", "-i", "any", "--immediate-mode", "-U", "-n", "-Z", "root"]
    argv += ["-w", str(file), *words.split()]
    process = net.lab.popen(machine, argv, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = []
    for line in process.stderr:  # "listening on any, ..." comes once packets are being taken
        said.append(line)
        if line.startswith("listening") or " listening on" in line:
            return process
    raise AssertionError(f"tcpdump in {machine} did not start: {''.join(said)}")


def is_reading(process: subprocess.Popen[str]) -> bool:
    """tcpdump takes no more once it is told to end; it sleeps when it has taken all there is."""
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        [tcpdump] = children.split()
        return Path(f"/proc/{tcpdump}/stat").read_text().rpartition(") ")[2][0] in "RD"
    except (OSError, ValueError):  # it has ended
        return False


def wait_for_packets(net: Net, machine: str, count: int, words: str) -> None:
    """Returns once so many that this filter picks have gone by: the way to wait while nothing happens."""
    argv = ["tcpdump", "-i", "any", "-n", "-Z", "root", "-c", str(count), "-w", "/dev/null"]
    done = net.run(machine, *argv, *words.split(), timeout=120)
    assert done.returncode == 0, done.stderr
