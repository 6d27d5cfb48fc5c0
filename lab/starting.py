"""Starting a keeper: in namespaces of its own from its first instruction, and tied to us until it is ready.

A socket joins the two. The keeper tells its progress on it, one JSON line each, then that it is ready; we
say that we heard it. If we are gone before that, whatever the reason, the keeper ends and the kernel takes
everything with it; a lab that is to end with us never hears it. The end of the stream is the end of the
keeper's process tree.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab.errors import BadRequest, BuildFailed, CannotHere, LabError
from lab.model.plan import Plan
from lab.state import Claim
from lab.stopping import kill

HEARD = b"\n"
NO_PAPERS: Mapping[str, str] = {}
_PATIENCE = 30.0  # seconds for a keeper to notice that we are gone, on a very busy machine
_LOG_TAIL = 10  # lines of the keeper's own log, shown if it ends without a word
_ERRORS = {
    "BadRequest": BadRequest,
    "BuildFailed": BuildFailed,
    "CannotHere": CannotHere,
    "LabError": LabError,
}


def start(
    claim: Claim,
    plan: Plan,
    progress: Callable[[str], None],
    papers: Mapping[str, str] = NO_PAPERS,
    tied: bool = False,
) -> socket.socket | None:
    """Returns when every daemon is ready; otherwise raises and leaves nothing.

    `papers`: further files for the lab's folder, by name. `tied`: returned is the tie, and as it closes,
    however we end, the lab ends.
    """
    folder = claim.folder
    ours, theirs = socket.socketpair()
    try:
        _furnish(claim, {**papers, "plan.json": plan.to_json()})
        try:
            with theirs:
                _spawn(claim, theirs)
            _listen(ours, folder, progress)
            if not tied:
                _let_go(ours, folder)
        except BaseException:
            _end(ours, folder)
            raise
    except BaseException:
        ours.close()
        claim.remove()
        raise
    claim.release()
    if tied:
        return ours
    ours.close()
    return None


def _furnish(claim: Claim, papers: Mapping[str, str]) -> None:
    try:
        claim.empty()
        (claim.folder / "logs").mkdir()
        for name, text in papers.items():
            (claim.folder / name).write_text(text)
    except OSError as error:
        raise LabError(f"cannot write to {claim.folder}: {error.strerror}") from None


def _spawn(claim: Claim, report: socket.socket) -> None:
    # setsid: out of reach of our terminal's Ctrl-C, and nobody's child, so that nobody has to reap it.
    argv = ["setsid", "--fork", "unshare", "--pid", "--fork", "--kill-child", "--mount", "--net"]
    if os.geteuid() != 0:
        argv += ["--user", "--map-root-user"]
    argv += [sys.executable, "-m", "lab.world.keeper"]
    argv += ["--lab", claim.folder.name, "--folder", str(claim.folder)]
    argv += ["--report", str(report.fileno())]
    if os.geteuid() != 0:
        argv += ["--in-user-namespace"]
    with (claim.folder / "logs" / "keeper.log").open("wb") as log:
        try:
            done = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ
                | {"PYTHONPATH": _python_path(), "PUNCHLAB_IMPORTS": os.pathsep.join(sys.path)},
                pass_fds=(claim.fd, report.fileno()),
                check=False,
            )
        except FileNotFoundError:
            raise CannotHere("setsid is not installed", "apt-get install util-linux") from None
    if done.returncode:
        raise CannotHere(f"setsid failed: {_tail(claim.folder)}")


def _python_path() -> str:
    """Ours first: the keeper and the daemons are found wherever they are started."""
    paths = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, paths))


def _listen(ours: socket.socket, folder: Path, progress: Callable[[str], None]) -> None:
    with ours.makefile("r") as lines:
        for line in lines:
            said: dict[str, Any] = json.loads(line)
            if "progress" in said:
                progress(said["progress"])
            elif "failed" in said:
                raise _ERRORS[said["failed"]](said["problem"], said["hint"])
            else:
                return
    raise _ended_silently(folder)


def _let_go(ours: socket.socket, folder: Path) -> None:
    try:
        ours.sendall(HEARD)
    except OSError:  # it was ready, and has just ended
        raise _ended_silently(folder) from None


def _ended_silently(folder: Path) -> LabError:
    log = _tail(folder)
    if not (folder / "pid").exists():  # it did not come as far as to write it
        return CannotHere(
            f"namespaces cannot be made here: {log}", "lab.doctor says what this machine lacks"
        )
    return BuildFailed(f"the keeper ended without a word: {log or 'and wrote no log'}")


def _tail(folder: Path) -> str:
    lines = (folder / "logs" / "keeper.log").read_text(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_TAIL:])


def _end(ours: socket.socket, folder: Path) -> None:
    """Hangs up and waits until the keeper and all it started are gone; one that cannot hear is killed."""
    ours.shutdown(socket.SHUT_WR)
    ours.settimeout(1.0)
    until = time.monotonic() + _PATIENCE
    while _is_there(ours) and time.monotonic() < until:
        kill(folder)  # or it has not begun yet, and will hear us first of all
    kill(folder)  # it may have heard us, and lived on


def _is_there(ours: socket.socket) -> bool:
    """Whether the stream still goes on, after a moment."""
    try:
        while ours.recv(4096):
            pass
    except TimeoutError:
        return True
    except OSError:
        pass
    return False
