"""The keeper's end of the delay line: starts the process when a link first needs it, and tells it what to do.

A queue is opened by the keeper, so what the kernel refuses is told at once; the process is told afterwards
and nobody waits for its start. Should it die, packets are lost, not let through: `on_end` tells.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from lab.errors import LabError
from lab.model.link import Shape
from lab.world.namespaces import Visitor
from lab.world.nfqueue import open_queue

Name: TypeAlias = tuple[int, int]  # the machine's place in the plan, the number of the queue
_PATIENCE = 20.0  # seconds to start, on a very busy machine; then it answers in a millisecond
_TREE = Path(__file__).parents[2]


class Delaying:
    def __init__(
        self,
        visitor: Visitor,
        log: Path,
        selector: selectors.BaseSelector,
        on_end: Callable[[], None],
    ) -> None:
        self._visitor = visitor
        self._log = log
        self._selector = selector
        self._on_end = on_end
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0

    def open(self, name: Name, net: int, shape: Shape) -> None:
        """A new line in the namespace `net`. Raises OSError if the kernel refuses the queue."""
        with self._visitor.inside(net, partial(open_queue, name[1])) as queue:
            words = json.dumps({"line": name, "shape": asdict(shape)}).encode()
            socket.send_fds(self._started(), [words], [queue.fileno()])

    def bend(self, name: Name, shape: Shape) -> None:
        self._say({"line": name, "shape": asdict(shape)})

    def close(self, name: Name) -> None:
        self._say({"line": name, "close": True})

    def settle(self) -> None:
        """Returns when all that was said so far holds."""
        if self._control is None:
            return
        self._asked += 1
        self._say({"settle": self._asked})
        try:
            while json.loads(self._control.recv(4096)) != {"settle": self._asked}:
                pass
        except (OSError, ValueError):
            raise LabError("the delay line does not answer", f"its log: {self._log}") from None

    def _say(self, words: dict[str, Any]) -> None:
        try:
            self._started().send(json.dumps(words).encode())
        except OSError as error:
            raise LabError(f"the delay line is gone: {error.strerror}") from None

    def _started(self) -> socket.socket:
        if self._control is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.settimeout(_PATIENCE)
            with theirs, self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-S", "-m", "lab.world.delayline", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    pass_fds=[theirs.fileno()],
                    cwd=_TREE,
                    env=os.environ | {"PYTHONPATH": str(_TREE)},
                )
            self._control = ours
            self._selector.register(ours, selectors.EVENT_READ, self._ended)
        return self._control

    def _ended(self, _: int) -> None:
        """It says nothing unasked, so this is the end of the stream."""
        assert self._control is not None
        with contextlib.suppress(OSError):
            if self._control.recv(4096):
                return
        self._selector.unregister(self._control)
        self._control.close()
        assert self._process is not None
        self._process.wait(_PATIENCE)  # its queues are free again when it is gone, not before
        self._control = self._process = None
        self._on_end()
