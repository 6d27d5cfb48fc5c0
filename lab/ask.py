"""One question to a lab's keeper: a JSON line there, a JSON line back, and sometimes descriptors with it."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.errors import BadRequest, KeeperGone, LabError

SOCKET = "control.sock"
_MAX_FDS = 64


def ask(folder: Path, question: str, timeout: float = 30.0, **words: Any) -> dict[str, Any]:
    answer, fds = ask_for_fds(folder, question, timeout, **words)
    for fd in fds:
        os.close(fd)
    return answer


def ask_for_fds(
    folder: Path, question: str, timeout: float = 30.0, **words: Any
) -> tuple[dict[str, Any], list[int]]:
    with connected(folder, timeout) as connection:
        return _exchange(connection, {"ask": question, **words})


@contextmanager
def connected(folder: Path, timeout: float) -> Iterator[socket.socket]:
    """A connection to the keeper, or LabError. By way of /proc: a socket's address has 108 bytes."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    with connection:
        try:
            fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                connection.connect(f"/proc/self/fd/{fd}/{SOCKET}")
            finally:
                os.close(fd)
            yield connection
        except TimeoutError:
            raise LabError(
                f"the keeper of {folder.name} does not answer", f"lab.down {folder.name} ends it"
            ) from None
        except OSError as error:
            raise KeeperGone(f"the keeper of {folder.name} is gone: {error.strerror}") from None


def _exchange(
    connection: socket.socket, request: dict[str, Any]
) -> tuple[dict[str, Any], list[int]]:
    connection.sendall(json.dumps(request).encode() + b"\n")
    data = bytearray()
    fds: list[int] = []
    while not data.endswith(b"\n"):
        chunk, new, _, _ = socket.recv_fds(connection, 1 << 16, _MAX_FDS)
        fds += new
        if not chunk:
            raise ConnectionResetError(104, "it hung up")
        data += chunk
    for fd in fds:
        os.set_inheritable(fd, False)
    answer: dict[str, Any] = json.loads(data)
    if "error" in answer:
        kind = BadRequest if answer.get("bad_request") else LabError
        raise kind(answer["error"], answer.get("hint", ""))
    return answer, fds
