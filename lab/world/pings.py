"""A `ping` that tells the time as programs see it.

The system's takes the moment at which the kernel saw an answer arrive, and that is before the answer has
waited for the machine's own link. With -U it takes the moment at which it was told, as everybody else does.
"""

from __future__ import annotations

import subprocess

from lab.world.mounts import BIN
from lab.world.programs import find


def make_honest() -> None:
    """Puts it first on the PATH of the lab, if the system's is the one that has -U."""
    real, wrapper = find("ping"), BIN / "ping"
    if real is None or wrapper.exists():
        return
    version = subprocess.run([real, "-V"], capture_output=True, text=True, check=False)
    if "iputils" in version.stdout:
        wrapper.write_text(f'#!/bin/sh\nexec {real} -U "$@"\n')
        wrapper.chmod(0o755)
