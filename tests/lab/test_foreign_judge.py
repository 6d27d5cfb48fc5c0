"""coturn's own discovery tool, against a real coturn, says the same of all nine pairs.

Two hosts behind each router ask at once, from equal source ports: so what it says also holds where
ports collide.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from lab.ask import ask
from lab.client import Lab
from tests.lab.street import JUDGE, JUDGE_ADDRESSES, NATS, PAIRS, hosts_of, street

DISCOVERY = "turnutils_natdiscovery"
NOT_HERE = pytest.mark.skipif(
    not all(map(shutil.which, ("turnserver", DISCOVERY))),
    reason="coturn is not installed: apt-get install coturn",
)
pytestmark = [NOT_HERE, pytest.mark.xdist_group("foreign judge")]

FIRST, SECOND = JUDGE_ADDRESSES
SERVER = ["turnserver", "-n", "-S", "-L", FIRST, "-L", SECOND, "-p", "3478"]
SERVER += ["--alt-listening-port=3479", "--no-tls", "--no-dtls", "--no-cli", "-m", "1"]
READY = "(admin thread)"  # the last to start, after all listeners

MAPPING_PORT, FILTERING_PORT = 5000, 6000
WORDS = {
    "endpoint-independent": "Endpoint Independent",
    "address-dependent": "Address Dependent",
    "address-and-port-dependent": "Address and Port Dependent",
}


@dataclass(frozen=True)
class Asked:
    said: dict[str, str]  # by host: what the tool printed
    flows: dict[str, list[dict[str, Any]]]  # by router: what it remembered when all had asked


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("judge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUNCHLAB_STATE", str(folder / "state"))
        lab = Lab.up(street(PAIRS))
        try:
            with coturn(lab, folder):
                said = ask_at_once(lab, [host for name in PAIRS for host in hosts_of(name)])
            counted = ask(lab.folder, "counted", routers=list(PAIRS))["routers"]
            yield Asked(said, {name: counted[name]["flows"] for name in PAIRS})
        finally:
            lab.down()


@pytest.mark.scenario(98)
@pytest.mark.parametrize("name", PAIRS)
def test_a_foreign_judge_agrees_from_both_hosts(asked: Asked, name: str) -> None:
    nat = NATS[name]

    for host in hosts_of(name):
        assert f"NAT with {WORDS[nat.mapping]} Mapping!" in asked.said[host]
        assert f"NAT with {WORDS[nat.filtering]} Filtering!" in asked.said[host]


@pytest.mark.parametrize("name", PAIRS)
def test_both_hosts_held_mappings_of_the_same_port_meanwhile(asked: Asked, name: str) -> None:
    sources = {flow["source"] for flow in asked.flows[name]}

    for port in (MAPPING_PORT, FILTERING_PORT):
        assert sum(source.endswith(f":{port}") for source in sources) == 2


@contextmanager
def coturn(lab: Lab, folder: Path) -> Iterator[None]:
    own = [f"--pidfile={folder / 'pid'}", f"--db={folder / 'db'}", "--log-file=stdout"]
    pipe = subprocess.PIPE
    server = lab.popen(JUDGE, [*SERVER, *own], stdout=pipe, stderr=subprocess.STDOUT, text=True)
    with server:
        try:
            assert server.stdout is not None
            wait_for(READY, server.stdout)
            yield
        finally:
            server.kill()


def wait_for(words: str, output: IO[str]) -> None:
    seen = []
    for line in output:
        seen.append(line)
        if words in line:
            return
    raise AssertionError("coturn did not start:\n" + "".join(seen))


def ask_at_once(lab: Lab, hosts: Sequence[str]) -> dict[str, str]:
    """All are started first and wait for a word."""
    pipe = subprocess.PIPE
    with ExitStack() as stack:
        asking = {
            host: stack.enter_context(
                lab.popen(host, question(lab, host), stdin=pipe, stdout=pipe, text=True)
            )
            for host in hosts
        }
        for each in asking.values():
            assert each.stdout is not None
            assert each.stdout.readline() == "waiting\n"
        for each in asking.values():
            assert each.stdin is not None
            each.stdin.close()
        return {host: each.stdout.read() for host, each in asking.items() if each.stdout}


def question(lab: Lab, host: str) -> list[str]:
    own = f"{DISCOVERY} -L {lab.plan().underlay[host]}"
    mapping, filtering = f"{own} -m -l {MAPPING_PORT}", f"{own} -f -l {FILTERING_PORT}"
    return ["sh", "-c", f"echo waiting; read _; {mapping} {FIRST}; {filtering} {FIRST}"]
