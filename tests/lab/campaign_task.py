"""A task that answers, hangs, dies or cannot, as it is asked; with a lab up at that moment."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

from lab import state
from lab.client import Lab
from lab.errors import CannotHere
from lab.judge.attend import answer_with
from tests.lab.plans import lasting, shell, two_hosts
from tests.lab.traces import TasksTraces

PROCESSES = 3  # the keeper's parent, the keeper, the daemon


def main(request: dict[str, Any]) -> Any:
    match request["do"]:
        case "never get ready":
            Lab.up(two_hosts(shell("node-a", "exec sleep 1000")), "of-a-task")
        case "hang":
            bring_up_a_lab(request)
            threading.Event().wait()
        case "die":
            bring_up_a_lab(request)
            os.kill(os.getpid(), signal.SIGKILL)
        case "die once" if is_first(request):
            os.kill(os.getpid(), signal.SIGKILL)
        case "kill the worker once" if is_first(request):
            bring_up_a_lab(request)
            os.kill(os.getppid(), signal.SIGKILL)
            threading.Event().wait()
        case "need rights" if os.environ.get("WITHOUT_RIGHTS"):
            raise CannotHere("this machine is too small")
        case "not be readable":
            os.write(1, b"no JSON ")
    return request["number"]


def bring_up_a_lab(request: dict[str, Any]) -> None:
    """And tells its folder, once all that is looked for later is there to be found."""
    Lab.up(two_hosts(lasting("node-a")), "of-a-task")
    folder = state.folder_of("of-a-task")
    traces, own = TasksTraces(folder, "", frozenset()), {str(os.getpid())}
    while len({*traces.processes()} - own) != PROCESSES:
        time.sleep(
            0.001
        )  # one that is just becoming another program has no environment for a moment
    note = Path(request["note"])
    note.with_suffix(".new").write_text(str(folder))
    note.with_suffix(".new").rename(note)


def is_first(request: dict[str, Any]) -> bool:
    try:
        Path(request["mark"]).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


if __name__ == "__main__":
    answer_with(main)
