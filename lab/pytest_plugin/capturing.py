"""`--lab-capture`: the last packets of every lab, in case its test fails.

Each lab has a capture of its own from its first packet on, in a process beside it that holds the newest 32 MB
in memory. A test that passes leaves nothing of it, on the disk neither; one that fails gets it as a pcapng
among its evidence.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from lab.capture.handle import Capture
from lab.client import Lab
from lab.errors import LabError

OPTION = "--lab-capture"
FILE = "packets.pcapng"
MOST = 32 << 20  # bytes: minutes of what tests usually do


class Captures:
    """Those of a starter's labs."""

    def __init__(self, folder: Path | None) -> None:
        """`folder`: where a file is made before it is moved among the evidence; None: nothing is captured."""
        self._folder = folder
        self._running: dict[str, Capture] = {}

    @property
    def wanted(self) -> bool:
        return self._folder is not None

    def begin(self, lab: Lab) -> None:
        if self._folder is not None:
            file = self._folder / f"{lab.name}.pcapng"
            self._running[lab.name] = lab.capture(file, last=MOST)

    def keep(self, lab: Lab, folder: Path) -> str | None:
        """What there is, as a file in `folder`; returns what went wrong. Goes on for the next test."""
        capture = self._running.pop(lab.name, None)
        if capture is None:
            return None
        try:
            capture.stop()
            shutil.move(capture.path, folder / FILE)
            self.begin(lab)
        except (LabError, OSError) as error:  # the lab may be gone, and that is the failure
            return str(error)
        return None

    def discard(self) -> None:
        for each in self._running.values():
            each.discard()
        self._running.clear()
