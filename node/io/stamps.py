"""How far the stamps of our initiations have got, in a file beside the key: PATH.time.

A peer takes only a later stamp than the last (WireGuard §5.1), and our wall clock may be set back, or
begin at 1970 after each boot where no battery keeps it. So a node that starts goes on where it left off.
Without a folder that it may write in it goes by the clock, as others do.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

AHEAD = 300.0  # seconds that are kept in advance: more than between two handshakes, and few writes
NEVER = 2**40  # Unix time; some 35,000 years from now


class Stamps:
    def __init__(self, key: str) -> None:
        self._file = Path(f"{key}.time")
        self._kept = self._read()

    def first(self, wall: float) -> float:
        """The Unix time to begin with: the clock's, or later."""
        return max(wall, self._kept)

    def reached(self, stamp: float) -> None:
        """A handshake was made; the next one's stamp is kept already, mostly."""
        if stamp + AHEAD / 2 < self._kept:
            return
        self._kept = stamp + AHEAD
        fresh = self._file.with_name(f"{self._file.name}.new")
        with suppress(OSError):
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "w") as file:
                file.write(f"{self._kept:.0f}\n")
            os.replace(fresh, self._file)

    def _read(self) -> float:
        try:
            kept = int(self._file.read_text())
        except (OSError, ValueError):  # none yet, or not ours
            return 0.0
        return float(kept) if kept < NEVER else 0.0
