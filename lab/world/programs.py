"""Where the system's programs are, also for people whose PATH has no sbin."""

from __future__ import annotations

import os
import shutil

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def search_path() -> str:
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *_SBIN])


def find(program: str) -> str | None:
    return shutil.which(program, path=search_path())
