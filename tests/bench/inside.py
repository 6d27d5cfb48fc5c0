"""The other half of a benchmark, in namespaces of its own: everything in them ends with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any


def ask(module: str, *question: str, patience: float) -> list[dict[str, Any]]:
    """The JSON lines that `tests.bench.MODULE` prints there; patience in seconds."""
    who = [] if os.geteuid() == 0 else ["--map-root-user"]
    alone = ["unshare", *who, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    argv = [*alone, sys.executable, "-m", f"tests.bench.{module}", *question]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=patience, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def come_first() -> None:
    """Whatever else runs here is to disturb the measured as little as it can."""
    with suppress(PermissionError, FileNotFoundError):
        os.nice(-15)
        os.setsid()  # with autogroups on, sessions share the processors, and nice counts within one
        Path("/proc/self/autogroup").write_text("-19")
