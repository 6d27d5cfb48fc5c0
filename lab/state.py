"""Where labs live on disk: one folder a lab, in one folder a user.

    <root>/<lab>/   plan.json  events.jsonl  pid  control.sock  logs/<host>.log  hosts/<host>/...

The folder is locked (flock) for as long as its keeper lives: the starter takes the lock and the
keeper inherits it. So a folder whose lock can be had is what a dead lab left behind, whatever became of
its process id, and the next command removes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from lab.errors import BadRequest, LabError

INSIDE = Path("/run/punchlab")  # where every lab finds its own folder, however long its real path
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


def root() -> Path:
    """The folder of this user's labs, made if need be, closed to others."""
    folder = _root()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = folder.stat().st_uid
    except OSError as error:
        raise LabError(
            f"cannot keep labs in {folder}: {error.strerror}",
            "set PUNCHLAB_STATE to a folder that you can write to",
        ) from None
    if owner != os.geteuid():
        raise LabError(
            f"{folder} belongs to somebody else", "set PUNCHLAB_STATE to a folder of yours"
        )
    return folder


def _root() -> Path:
    if chosen := os.environ.get("PUNCHLAB_STATE"):
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        return Path("/run/punchlab")
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "punchlab"
    return Path(f"/tmp/punchlab-{os.geteuid()}")


def folder_of(name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise BadRequest(
            f"{name!r} cannot be a lab's name",
            "up to 40 letters, digits, dots, dashes and underscores; the first a letter or digit",
        )
    return root() / name


@dataclass(frozen=True, slots=True)
class Claim:
    """A lab's folder, locked by us. Closing the descriptor gives it back, unless a keeper holds it too."""

    folder: Path
    fd: int

    @classmethod
    def take(cls, folder: Path) -> Self | None:
        """None: somebody lives there. The folder is made if it is not there."""
        while True:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o700)  # Path.mkdir fails if it goes just when it was there
            try:
                fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:  # removed in between by another command
                if folder.is_symlink():
                    raise LabError(f"{folder} is a link to nowhere", "remove it") from None
                continue
            if not _lock(fd, fcntl.LOCK_EX):
                os.close(fd)
                if is_alive(folder):
                    return None
                continue  # somebody only looked
            if _is_at(fd, folder):
                return cls(folder, fd)
            os.close(fd)  # what we locked was removed while we waited

    def empty(self) -> None:
        for each in self.folder.iterdir():
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each)
            else:
                each.unlink()

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.release()

    def release(self) -> None:
        os.close(self.fd)


def is_alive(folder: Path) -> bool:
    """Whether a keeper, or a starter at work, holds the folder."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _lock(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def remove_if_dead(folder: Path) -> bool:
    """Clears away what a dead lab left. False: it is alive."""
    if not folder.is_dir():
        return True
    claim = Claim.take(folder)
    if claim is not None:
        claim.remove()
    return claim is not None


def running() -> list[str]:
    """The labs that live; the dead ones are cleared away in passing."""
    folders = sorted(each for each in root().iterdir() if _NAME.fullmatch(each.name))
    return [each.name for each in folders if each.is_dir() and not remove_if_dead(each)]


def _lock(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(fd: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), folder.stat())
    except FileNotFoundError:
        return False
