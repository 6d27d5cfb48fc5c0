"""What a daemon says: its end of a pipe is its own business, ours is never waited for and never fills up.

In one go only so much is read, so that a daemon that floods a pipe gets its turn like all others; and a line
without an end is cut.
"""

from __future__ import annotations

import os
from typing import IO

_CHUNK = 1 << 16
_MOST = 1 << 20  # bytes in one go
_LONGEST_LINE = 1 << 16


class Pipe:
    def __init__(self, stream: IO[bytes]) -> None:
        os.set_blocking(stream.fileno(), False)
        self.stream = stream
        self.is_open = True  # as far as we know
        self._rest = b""

    def read(self) -> bytes:
        """What is there, or as much of it as is good for one go."""
        data = bytearray()
        while self.is_open and len(data) < _MOST:
            try:
                chunk = os.read(self.stream.fileno(), _CHUNK)
            except BlockingIOError:
                break
            self.is_open = bool(chunk)
            data += chunk
        return bytes(data)

    def lines(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        return [line.decode(errors="replace") for line in lines]

    def close(self) -> None:
        self.is_open = False
        self.stream.close()
