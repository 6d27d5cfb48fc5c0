"""Where a capture's blocks go: into the file at once, or only the last so many bytes of them, at the end."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Protocol

from lab.errors import BadRequest, LabError


class Sink(Protocol):
    def keep(self, block: bytes) -> None:
        """What the rest cannot be read without: interfaces, keys."""

    def add(self, block: bytes) -> None: ...

    def flush(self) -> None: ...

    def close(self) -> None: ...


class ToFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = path.open("wb", buffering=1 << 20)
            path.chmod(0o600)  # there are keys in it
        except OSError as error:
            raise BadRequest(f"cannot write {path}: {error.strerror}") from None

    def add(self, block: bytes) -> None:
        try:
            self._file.write(block)
        except OSError as error:
            raise LabError(f"cannot write {self._path}: {error.strerror}") from None

    keep = add

    def flush(self) -> None:
        """Whole blocks only: whoever looks meanwhile, or after a kill, finds a readable file."""
        try:
            self._file.flush()
        except OSError as error:
            raise LabError(f"cannot write {self._path}: {error.strerror}") from None

    def close(self) -> None:
        self.flush()
        self._file.close()


class LastBytes:
    """Nothing touches the disk until it is closed."""

    def __init__(self, path: Path, most: int) -> None:
        self._path, self._most = path, most
        self._kept: list[bytes] = []
        self._last: deque[bytes] = deque()
        self._size = 0

    def keep(self, block: bytes) -> None:
        self._kept.append(block)

    def add(self, block: bytes) -> None:
        self._last.append(block)
        self._size += len(block)
        while self._size > self._most:
            self._size -= len(self._last.popleft())

    def flush(self) -> None:
        pass

    def close(self) -> None:
        file = ToFile(self._path)
        for block in (*self._kept, *self._last):
            file.add(block)
        file.close()
