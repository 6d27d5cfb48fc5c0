"""Runs one command inside a lab: `python enter.py DESCRIPTORS -- COMMAND...`

The caller got the namespaces as descriptors from the keeper and passes them on. A process enters a PID
namespace only for its children, so this one stays as the command's parent: it hands signals on, and
ends as the command ends. If it is killed, the command is killed with it. It imports little,
because people wait for it, and nothing of the project.
"""

import ctypes
import os
import signal
import sys
from types import FrameType

ORDER = (
    "user",
    "pid",
    "net",
    "mnt",
)  # user first: it gives the right to the others; mnt changes paths
KINDS = {"user": 0x10000000, "pid": 0x20000000, "net": 0x40000000, "mnt": 0x00020000}
HANDED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCONT)
TYPED = (signal.SIGINT, signal.SIGQUIT)  # the terminal sends them to the command itself as well
_PR_SET_PDEATHSIG = 1
CANNOT_ENTER, CANNOT_RUN, NO_COMMAND = 125, 126, 127


def main() -> None:
    described, _, *argv = sys.argv[1:]
    fds = {kind: int(fd) for kind, _, fd in (each.partition("=") for each in described.split(","))}
    folder = os.getcwd()
    try:
        enter(fds)
    except OSError as error:
        sys.exit(_say(f"cannot enter the lab: {error.strerror}", CANNOT_ENTER))
    try:
        os.chdir(folder)
    except OSError:
        os.chdir("/")
    # Until the command runs, a signal would find nobody to be handed on to.
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDED_ON)
    child = os.fork()
    if child == 0:
        _become(argv)
    _end_as(_attend(child))


def enter(fds: dict[str, int]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    for kind in ORDER:
        if kind in fds:
            if libc.setns(fds[kind], KINDS[kind]) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
            os.close(fds[kind])


def _become(argv: list[str]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for each in (*HANDED_ON, *TYPED, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(each, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDED_ON)
    try:
        os.execvp(argv[0], argv)
    except FileNotFoundError:
        os._exit(_say(f"{argv[0]}: no such command", NO_COMMAND))
    except OSError as error:
        os._exit(_say(f"{argv[0]}: {error.strerror}", CANNOT_RUN))


def _attend(child: int) -> int:
    def hand_on(number: int, frame: FrameType | None) -> None:
        os.kill(child, number)

    for each in HANDED_ON:
        signal.signal(each, hand_on)
    for each in TYPED:
        signal.signal(each, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDED_ON)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    for each in HANDED_ON:  # as long as it has its number, which may be somebody else's afterwards
        signal.signal(each, signal.SIG_IGN)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _end_as(result: int) -> None:
    """Exit as the command did, by the same signal if it was one."""
    if result < 0:
        signal.signal(-result, signal.SIG_DFL) if -result != signal.SIGKILL else None
        os.kill(os.getpid(), -result)
    os._exit(result)


def _say(what: str, status: int) -> int:
    os.write(2, f"punchlab: {what}\n".encode())
    return status


if __name__ == "__main__":
    main()
