"""A capture that is under way in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.capture.summary import Summary
from lab.errors import BadRequest, LabError

PATIENCE = 60.0  # seconds to write down what it has


class Capture:
    """Begun when it is made, and finished by `stop`, at the end of a `with`, or with its lab."""

    def __init__(
        self,
        folder: Path,
        machines: Mapping[str, str],
        out: Path,
        seconds: float | None = None,
        last: int | None = None,
    ) -> None:
        self.path = out.absolute()
        argv = [sys.executable, "-m", "lab.capture", str(folder), "--out", str(self.path)]
        argv += ["--machines", json.dumps(machines)]
        argv += ["--seconds", f"{seconds:g}"] if seconds is not None else []
        argv += ["--last", str(last)] if last is not None else []
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is the tests', and they end it
        )
        self._summary: Summary | None = None
        try:
            self._hear()
        except BaseException:
            self.discard()
            raise

    def stop(self) -> Summary:
        """Returns when the file is whole. Twice is fine."""
        if self._summary is None:
            self._process.send_signal(signal.SIGINT)
            return self.wait()
        return self._summary

    def wait(self) -> Summary:
        """For the end of its seconds, or of its lab."""
        if self._summary is None:
            told = self._hear()
            self._process.wait(PATIENCE)
            self._close()
            self._summary = Summary(**told)
        return self._summary

    def discard(self) -> None:
        """Ends it at once; what it has not written is lost."""
        self._process.kill()
        self._process.wait()
        self._close()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LabError(f"the capture into {self.path} ended without a word")
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            kind = BadRequest if told["status"] == BadRequest.exit_status else LabError
            raise kind(told["error"], told["hint"])
        return told

    def _close(self) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.stop()
