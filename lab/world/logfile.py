"""A daemon's log on disk: all of it, until that is too much; then its beginning and its end."""

from __future__ import annotations

import sys
from pathlib import Path

_MOST = 8 << 20  # bytes; more than anybody reads, and a disk has room for one a host
_KEPT = 1 << 20  # bytes that are left of each end


class LogFile:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._left_out = 0

    def write(self, data: bytes) -> None:
        if not data:
            return
        try:
            with self.path.open("ab") as file:
                file.write(data)
                size = file.tell()
            if size > _MOST:
                self._shorten()
        except OSError as error:  # a full disk is no reason to end the lab
            print(f"{self.path.stem}: its log is lost: {error}", file=sys.stderr)

    def tail(self, lines: int) -> str:
        try:
            text = self.path.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def _shorten(self) -> None:
        text = self.path.read_bytes()
        start, end = text[:_KEPT], text[-_KEPT:]
        self._left_out += len(text) - len(start) - len(end)
        note = f"\n... {self._left_out >> 20} MB of this log are left out ...\n"
        self.path.write_bytes(start + note.encode() + end)
