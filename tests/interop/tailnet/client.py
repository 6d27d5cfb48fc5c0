"""Tailscale's own client on hosts of a lab, and the control plane without which it does nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lab.client import Lab
from tests.interop.tailnet.control import PORT
from tests.interop.tailnet.members import Json

ROOT = Path(__file__).parent.parent.parent.parent
CONTROL = "control"  # the host on the internet where the control plane runs
PATIENCE = 60.0  # seconds for a client to come up
NO_HOMES: Mapping[str, int] = {}
missing = [program for program in ("tailscaled", "tailscale") if shutil.which(program) is None]


class Plane:
    """The control plane, and what clients have told it of themselves."""

    def __init__(self, process: subprocess.Popen[str], login: str) -> None:
        self.login = login
        self._process = process
        self._members: dict[str, Json] = {}
        self._news = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def member(self, host: str) -> Json:
        """The client there as it tells of itself once it knows its home and where it can be found."""
        with self._news:
            found = self._news.wait_for(lambda: self._complete(host), PATIENCE)
            assert found, f"{host} did not say where it is: {self._members}"
            return found

    def _complete(self, host: str) -> Json | None:
        member = self._members.get(host, {})
        return member if member.get("Endpoints") and member["HomeDERP"] else None

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            with self._news:
                self._members[told["Hostinfo"]["Hostname"]] = told
                self._news.notify_all()


@dataclass(frozen=True)
class Client:
    """`tailscaled` on a host."""

    lab: Lab
    host: str
    socket: Path

    def command(self, *words: str) -> str:
        """What `tailscale WORDS` says."""
        argv = ["tailscale", f"--socket={self.socket}", *words]
        done = self.lab.run(self.host, argv, timeout=PATIENCE)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def becomes_direct(self, address: str) -> None:
        """By its own pings, at most 20."""
        self.command("ping", "--c=20", address)  # which fails unless it does

    def ways(self, address: str, count: int = 3) -> set[str]:
        """By which its own pings were answered: "DERP(nyc)", or an endpoint."""
        said = self.command("ping", "--until-direct=false", f"--c={count}", address)
        answers = [line for line in said.splitlines() if " via " in line]
        return {line.split(" via ")[1].split(" in ")[0] for line in answers}


@contextmanager
def plane(
    lab: Lab,
    folder: Path,
    addresses: Sequence[str],
    members: Sequence[Json] = (),
    homes: Mapping[str, int] = NO_HOMES,
) -> Iterator[Plane]:
    """`addresses`: the clients', in the order in which they come. `homes`: regions, by address."""
    derp_map = folder / "derp_map.json"
    derp_map.write_text(json.dumps(_derp_map(lab)))
    argv = [sys.executable, "-m", "tests.interop.tailnet.control", "--derp-map", str(derp_map)]
    argv += [word for address in addresses for word in ("--address", address)]
    argv += [word for each in members for word in ("--member", json.dumps(each))]
    argv += [word for where in homes.items() for word in ("--home", "{}={}".format(*where))]
    process = lab.popen(CONTROL, argv, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    with _ended(process):
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == {"ready": PORT}
        yield Plane(process, f"http://{lab.plan().underlay[CONTROL]}:{PORT}")


@contextmanager
def client(lab: Lab, host: str, folder: Path, control: Plane) -> Iterator[Client]:
    """Up and a member, until the `with` ends."""
    found = Client(lab, host, folder / f"{host}.sock")
    log = folder / f"{host}.log"
    with _ended(_daemon(found, folder, log)) as daemon:
        _wait_for_socket(daemon, found.socket, log)
        words = [f"--login-server={control.login}", f"--hostname={host}", "--accept-dns=false"]
        found.command("up", *words, f"--timeout={PATIENCE:.0f}s")
        yield found


def _derp_map(lab: Lab) -> Json:
    regions = {}
    for daemon in lab.plan().daemons:
        if (number := daemon.settings.get("region_id")) is not None:
            name = {"RegionID": number, "RegionCode": daemon.host, "RegionName": daemon.host}
            at = {"HostName": daemon.settings["hostname"]}
            regions[str(number)] = {**name, "Nodes": [{"Name": daemon.host, **name, **at}]}
    return {"Regions": regions, "OmitDefaultRegions": True}


def _daemon(wanted: Client, folder: Path, log: Path) -> subprocess.Popen[Any]:
    relay = next(one.host for one in wanted.lab.plan().daemons if "region_id" in one.settings)
    authority = wanted.lab.folder / "hosts" / relay / "ca.pem"  # one for all relays of a lab
    env = os.environ | {"SSL_CERT_FILE": str(authority), "TS_NO_LOGS_NO_SUPPORT": "true"}
    env["TS_LOGS_DIR"] = str(folder)  # or it leaves a file in /var/lib
    argv = ["tailscaled", "--tun=tailscale0", "--state=mem:", f"--socket={wanted.socket}"]
    argv += [f"--statedir={folder / wanted.host}", "--port=41641"]
    with log.open("wb") as out:
        return wanted.lab.popen(wanted.host, argv, env=env, stdout=out, stderr=out)


def _wait_for_socket(daemon: subprocess.Popen[Any], socket: Path, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not socket.exists():
        assert daemon.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)


P = TypeVar("P", bound="subprocess.Popen[Any]")


@contextmanager
def _ended(process: P) -> Iterator[P]:
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
