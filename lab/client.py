"""The door to a lab: bring one up, ask it, change it, run things in it, take it down.

    lab = Lab.up(load("nat-pair"))
    lab.exec("node-a", ["ping", "-c1", "100.64.2.20"])
    lab.wait_for_path("node-a", "node-b", "direct", within=10)
    lab.down()

Everything that happens happens in the keeper, on the other side of a socket; so a `Lab` is only a name,
and any process of the same user can `attach` to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import starting, state, stopping, watching
from lab.ask import ask, ask_for_fds
from lab.errors import BadRequest, KeeperGone, LabError, NoEvent, NoPath, NoSuchLab
from lab.model.errors import nearest
from lab.model.path import PATH_KINDS
from lab.model.plan import Plan

if TYPE_CHECKING:
    from lab.capture.handle import Capture
    from lab.model.topology import Topology

FROM_START = "capture"  # a paper: the keeper opens its taps before it starts the daemons
_ENTER = Path(__file__).with_name("enter.py")
_BUSY = 10.0  # seconds that another command may take to let go of a folder, on a very busy machine
_DAEMON_PATIENCE = 15.0  # seconds for a daemon to become what it was told to be
_HEAR_PATIENCE = 15.0  # seconds; a frozen keeper hears nobody
_STOP_PATIENCE = 5.0  # seconds to end, when it is told to: it may be deaf
_BECOMES = {
    "start": "ready",
    "restart": "ready",
    "stop": "exited",
    "kill": "exited",
    "freeze": "frozen",
    "thaw": "ready",
}


def _quiet(line: str) -> None:
    """Progress for nobody."""


def down(name: str) -> bool:
    """Takes a lab down. False if it was not up; that is no error."""
    folder = state.folder_of(name)
    if not folder.exists() or state.remove_if_dead(folder):
        return False
    stopping.stop(folder)
    until = time.monotonic() + _BUSY
    while not state.remove_if_dead(folder):
        # Somebody else who takes it down, too, is clearing it away.
        if time.monotonic() > until:
            raise Lab(name, folder)._busy()
        time.sleep(0.01)
    return True


def doctor(only: str | None = None) -> list[dict[str, Any]]:
    """Each capability: name, ok, needed, found, hint."""
    argv = [sys.executable, "-m", "lab.world.preflight", "--json"]
    argv += ["--only", only] if only else []
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"the preflight failed: {done.stderr.strip()}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


class Lab:
    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self._tie: socket.socket | None = None  # open for as long as we are there

    def __repr__(self) -> str:
        return f"Lab({self.name!r})"

    @classmethod
    def up(
        cls,
        topology: Topology | Plan,
        name: str | None = None,
        progress: Callable[[str], None] = _quiet,
        captured: bool = False,
        tied: bool = False,
    ) -> Lab:
        """Returns when every daemon is ready. The same input again changes nothing.

        `captured`: the first `capture` of it begins with its first packet, before any daemon was there.
        `tied`: it ends with this object, and so with this process, however that ends; not if it was up.
        """
        plan = _plan(topology)
        lab = cls(name or plan.topology, state.folder_of(name or plan.topology))
        until = time.monotonic() + _BUSY
        while (claim := state.Claim.take(lab.folder)) is None:
            try:
                return lab._already_up(plan, progress)
            except KeeperGone:
                if time.monotonic() > until:
                    raise lab._busy() from None
                time.sleep(0.01)
        papers = _papers(topology) | ({FROM_START: ""} if captured else {})
        lab._tie = starting.start(claim, plan, progress, papers, tied)
        return lab

    def _already_up(self, plan: Plan, progress: Callable[[str], None]) -> Lab:
        if not ask(self.folder, "status")["ready"]:
            raise self._busy()
        if self._first_plan().digest() != plan.digest():
            raise BadRequest(
                f"{self.name} is up already, with another plan",
                f"lab.down {self.name} first, or give this one another --name",
            )
        progress(f"{self.name} is up already")
        return self

    def _busy(self) -> LabError:
        return LabError(f"{self.name} is in the hands of another command just now")

    @classmethod
    def attach(cls, name: str) -> Lab:
        folder = state.folder_of(name)
        if not folder.exists() or state.remove_if_dead(folder):
            raise NoSuchLab(name, state.running())
        return cls(name, folder)

    @staticmethod
    def running() -> list[str]:
        return state.running()

    def down(self) -> bool:
        """False if it was not up."""
        was_up = down(self.name)
        if self._tie is not None:
            self._tie.close()
        return was_up

    def plan(self) -> Plan:
        """As it is by now, with all live changes."""
        try:
            return Plan.from_json((self.folder / "now.json").read_text())
        except FileNotFoundError:
            return self._first_plan()

    def _first_plan(self) -> Plan:
        try:
            return Plan.from_json((self.folder / "plan.json").read_text())
        except FileNotFoundError:
            raise KeeperGone(f"{self.name} is gone, or only just coming up") from None

    def topology(self) -> Topology:
        """As it is by now. A lab that was brought up from a plan has none."""
        from lab.model.topology import loads

        try:
            told = json.loads((self.folder / "topology.json").read_text())
        except FileNotFoundError:
            self._first_plan()  # or it is gone
            raise BadRequest(f"{self.name} was made from a plan, not from a topology") from None
        return loads(told["text"], told["file"], told["overrides"])

    # --- what is going on

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = ask(self.folder, "status")["status"]
        return status

    def events(self, follow: bool = False) -> Iterator[dict[str, Any]]:
        """All that any daemon has said by now; `follow`: and will say."""
        if follow:
            return watching.follow(self.folder)
        self._hear()
        return watching.past(self.folder)

    def _hear(self) -> None:
        with contextlib.suppress(LabError):  # what is on disk is still to be had
            ask(self.folder, "hear", timeout=_HEAR_PATIENCE)

    def logs(self, host: str | None = None) -> Iterator[tuple[str, str]]:
        """(host, line): what the daemons wrote to stderr."""
        self._hear()
        if host is not None:
            self.plan().machine(host)  # or it is not there
        for file in sorted((self.folder / "logs").glob(f"{host or '*'}.log")):
            with file.open(errors="replace") as lines:
                for line in lines:
                    yield file.stem, line.rstrip("\n")

    def path_history(self, a: str, b: str) -> list[str]:
        self._hear()
        return watching.path_history(self.folder, a, b)

    def wait_for_path(self, a: str, b: str, kind: str, within: float) -> None:
        """Returns when the path from a to b is of this kind; NoPath after `within` seconds."""
        if kind not in PATH_KINDS:
            raise BadRequest(f"{kind} is no kind of path", nearest(kind, PATH_KINDS))
        now = self.path(a, b)
        if now == kind:
            return
        for event in watching.follow(self.folder, within):
            if (event["event"], event["host"], event.get("peer")) == ("path", a, b):
                now = event["kind"]
                if now == kind and self.path(a, b) == kind:  # not only once, in the past
                    return
        problem = f"{a} has no {kind} path to {b} after {within:g} s; it is: {now}"
        raise NoPath(problem, f"lab.explain {self.name} {a} {b} says why")

    def wait_for_event(
        self, wanted: dict[str, Any], within: float, since: float = 0.0
    ) -> dict[str, Any]:
        """The first event with these fields, of those that were and those to come; or NoEvent.

        `since`: older ones do not count; a time as the events have it (`at`).
        """
        found = watching.first(self.folder, wanted, within, since)
        if found is None:
            raise NoEvent(f"{self.name} had no event {json.dumps(wanted)} within {within:g} s")
        return found

    def path(self, a: str, b: str) -> str:
        """The kind of path from a to b now: relay, direct, peer-relay or none."""
        kind: str = ask(self.folder, "path", host=a, peer=b)["kind"]
        return kind

    # --- running things inside

    def popen(self, host: str | None, argv: Sequence[str], **kw: Any) -> subprocess.Popen[Any]:
        """A command inside `host`, or, for None, in the lab outside all hosts."""
        answer, fds = ask_for_fds(self.folder, "enter", host=host)
        described = ",".join(f"{kind}={fd}" for kind, fd in zip(answer["kinds"], fds, strict=True))
        kw["env"] = _inside(kw.get("env"), host, answer["path"])
        kw["pass_fds"] = (*kw.get("pass_fds", ()), *fds)
        try:
            helper = [sys.executable, "-I", "-S", str(_ENTER), described, "--"]
            return subprocess.Popen([*helper, *argv], **kw)
        finally:
            for fd in fds:
                os.close(fd)

    def exec(self, host: str, argv: Sequence[str], env: Mapping[str, str] | None = None) -> int:
        """With our terminal, stdin and signals; returns the exit status (128 + n for signal n)."""
        return _exit_status(self.popen(host, argv, env=env))

    def run(
        self,
        host: str,
        argv: Sequence[str],
        timeout: float | None = None,
        input: str | None = None,
    ) -> subprocess.CompletedProcess[str]:
        pipe = subprocess.PIPE
        stdin = subprocess.DEVNULL if input is None else pipe
        process = self.popen(host, argv, stdin=stdin, stdout=pipe, stderr=pipe, text=True)
        with process:
            try:
                out, err = process.communicate(input, timeout)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(list(argv), process.returncode, out, err)

    def shell(self, host: str | None = None) -> int:
        return _exit_status(self.popen(host, [os.environ.get("SHELL", "/bin/sh")]))

    def ping_argv(self, a: str, b: str, **options: Any) -> list[str]:
        """What to run in `a` to ping `b`: until_direct, count, timeout, json as far as its daemon can."""
        argv: list[str] = ask(self.folder, "ping_argv", host=a, peer=b, options=options)["argv"]
        return argv

    def ping(self, a: str, b: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.run(a, self.ping_argv(a, b, **options))

    def capture(
        self,
        out: str | Path,
        *,
        host: str = "",
        link: str = "",
        seconds: float | None = None,
        last: int | None = None,
    ) -> Capture:
        """Everything on all interfaces (of a host, of a link) into one pcapng, until its `stop`.

        Begun when this returns; to be used in a `with`, too. `last`: only so many bytes, the newest, are
        kept, in memory, and written at the end.
        """
        from lab.capture.handle import Capture
        from lab.capture.selection import selected

        return Capture(self.folder, selected(self.plan(), host, link), Path(out), seconds, last)

    # --- changing it

    def unplug(self, host: str) -> list[str]:
        """Pulls a machine's cables; returns which."""
        wires: list[str] = ask(self.folder, "unplug", host=host)["wires"]
        return wires

    def plug(self, host: str) -> list[str]:
        wires: list[str] = ask(self.folder, "plug", host=host)["wires"]
        return wires

    def links(self) -> list[dict[str, Any]]:
        """Every link as it is now."""
        found: list[dict[str, Any]] = ask(self.folder, "links")["links"]
        return found

    def link(
        self,
        link: str,
        *,
        way: str = "both",
        clean: bool = False,
        plugged: bool | None = None,
        **values: object,
    ) -> dict[str, Any]:
        """Bends a link, live: delay="40ms", jitter, loss="2%", burst, rate="20mbit", reorder, duplicate, mtu,
        icmp="drop" (no ICMP error comes through) or "pass".

        What is not named keeps its value, unless `clean`. Returns when it is in force, for flows that are
        there already too: {"changed": [...], "link": as it is now}.
        """
        asked: dict[str, Any] = {"link": link, "way": way, "clean": clean, "plugged": plugged}
        return ask(self.folder, "link", values=values, **asked)

    def nat(
        self, router: str, profile: str = "", *, flush: bool = False, wan: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Other NAT rules, another WAN address, or both; the flows that are there are forgotten.

        `flush` alone: as if the router had been rebooted. Without any of them nothing changes.
        Returns {"router", "nat", "wan", "changed": [...], "forgotten": how many flows, "rules": why these}.
        """
        asked: dict[str, Any] = {
            "router": router,
            "profile": profile,
            "flush": flush,
            "wan": list(wan),
        }
        return ask(self.folder, "nat", **asked)

    def cut(self, a: str, b: str, *, one_way: bool = False, reset: bool = False) -> dict[str, Any]:
        """Drops what a and b send each other (one_way: what a sends), of open flows too.

        `reset`: TCP is answered with a reset. Returns {"where": [...], "also": who else suffers, ...}.
        """
        return ask(self.folder, "cut", a=a, b=b, one_way=one_way, reset=reset)

    def restore(self, a: str, b: str) -> dict[str, Any]:
        """Takes a cut away; "dropped" in the answer is how many packets met it."""
        return ask(self.folder, "restore", a=a, b=b)

    def cuts(self) -> list[dict[str, Any]]:
        """Every cut, with the packets that it has dropped so far."""
        found: list[dict[str, Any]] = ask(self.folder, "cuts")["cuts"]
        return found

    def move(self, host: str, router: str) -> dict[str, Any]:
        """Plugs a host into another router, with an address of that LAN; other cables of it stay."""
        return ask(self.folder, "move", host=host, router=router)

    def daemon(self, host: str, action: str) -> None:
        """stop, start, restart, kill, freeze or thaw; returns when it is so."""
        if action not in _BECOMES:
            raise BadRequest(
                f"a daemon cannot be told to {action}", f"known: {', '.join(_BECOMES)}"
            )
        since = ask(self.folder, "daemon", host=host, action=action)["at"]
        patience = _STOP_PATIENCE if action == "stop" else _DAEMON_PATIENCE
        state = ""
        for event in watching.follow(self.folder, patience):
            if event["event"] == "daemon" and event["host"] == host and event["at"] >= since:
                state = event["state"]
                if state == _BECOMES[action]:
                    return
                if state == "exited" and action == "start":
                    break
        if action in ("stop", "restart") and state == "told":
            problem = f"the daemon of {host} goes on {patience:g} s after SIGTERM"
            raise LabError(problem, f"lab.daemon {self.name} {host} --kill ends it")
        hint = f"lab.logs {self.name} --host {host}"
        raise LabError(f"the daemon of {host} did not {action}", hint)


def _plan(topology: Topology | Plan) -> Plan:
    if isinstance(topology, Plan):
        return topology
    from lab.model.layout import plan_of

    return plan_of(topology)


def _papers(topology: Topology | Plan) -> dict[str, str]:
    """What the lab keeps of its topology, so that it can be changed while the lab runs."""
    if isinstance(topology, Plan) or topology.source is None:
        return {}
    source = topology.source
    told = {"file": topology.file, "text": source.text, "overrides": dict(source.overrides)}
    return {"topology.json": json.dumps(told)}


def _inside(env: Mapping[str, str] | None, host: str | None, path: str) -> dict[str, str]:
    """The caller's environment, with the lab's own programs first."""
    base = dict(os.environ if env is None else env)
    base["PATH"] = os.pathsep.join([path, base.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    base["PUNCHLAB_HOST"] = base["debian_chroot"] = host or "lab"  # the prompt of a Debian shell
    return base


def _exit_status(process: subprocess.Popen[Any]) -> int:
    with process:
        while True:
            try:
                status = process.wait()
            except KeyboardInterrupt:  # the command heard it too; it decides
                continue
            return status if status >= 0 else 128 - status
