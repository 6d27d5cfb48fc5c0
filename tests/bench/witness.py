"""Who sees the end of a lab from within: it holds the internet, and watches its links vanish."""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from lab.client import Lab
from lab.world.kernel import CLONE_NEWNET, setns

PATIENCE = 20.0  # seconds
LOOK_AGAIN = 0.002


class Witness:
    """Only root may enter a namespace of another process; others see nothing."""

    def __init__(self, lab: Lab) -> None:
        self._seen: Future[float] | None = None
        if os.geteuid() == 0:
            keeper = (lab.folder / "pid").read_text()
            inside = Path(lab.run("internet", ["readlink", "/run/netns/internet"]).stdout.strip())
            internet = os.open(f"/proc/{keeper}/fd/{inside.name}", os.O_RDONLY)
            self._seen = ThreadPoolExecutor(1).submit(_gone_at, internet)

    def gone_at(self) -> float:
        """When the last link went, on the monotonic clock; NaN if nobody saw it."""
        return self._seen.result() if self._seen is not None else float("nan")


def _gone_at(internet: int) -> float:
    setns(internet, CLONE_NEWNET)
    os.close(internet)
    until = time.monotonic() + PATIENCE
    while len(socket.if_nameindex()) > 1 and time.monotonic() < until:
        time.sleep(LOOK_AGAIN)
    return time.monotonic()
