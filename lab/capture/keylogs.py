"""The daemons' key logs: what they append there goes into the capture, before the packets that need it.

Each daemon may have two files in its folder. Whole lines only, each once.

Our node and relay always write theirs in a lab: a capture that begins later has to open what began before
it, and a lab's keys are made for the lab and end with it (each node's private key lies in the same folder).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from lab.capture import pcapng

KEYLOG = "wireguard.keys"  # lines of Wireshark's wg.keylog_file
TLS_KEYLOG = "tls.keys"  # lines of SSLKEYLOGFILE
KINDS = {KEYLOG: pcapng.WIREGUARD_KEYS, TLS_KEYLOG: pcapng.TLS_KEYS}


class KeyLogs:
    def __init__(self, folder: Path, hosts: Iterable[str]) -> None:
        self._read = {folder / "hosts" / host / name: 0 for host in hosts for name in KINDS}

    def fresh(self) -> Iterator[tuple[int, bytes]]:
        """(kind, lines) of each file that has grown."""
        for path, start in self._read.items():
            try:
                if path.stat().st_size == start:
                    continue
                with path.open("rb") as file:
                    file.seek(start)
                    text = file.read()
            except OSError:  # not there, or no longer
                continue
            whole = text[: text.rfind(b"\n") + 1]
            self._read[path] = start + len(whole)
            if whole:
                yield KINDS[path.name], whole
