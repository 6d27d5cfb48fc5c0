"""coturn's own discovery tool, against a real coturn, says the same of all nine pairs.

Two hosts behind each router ask at once, from equal source ports: so what it says also holds where
ports collide.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

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


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By host: what the tool prints. All ask at once."""
    folder = tmp_path_factory.mktemp("judge")
    hosts = [host for name in PAIRS for host in hosts_of(name)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PUNCHLAB_STATE", str(folder / "state"))
        lab = Lab.up(street(PAIRS))
        try:
            with coturn(lab, folder), ThreadPoolExecutor(len(hosts)) as pool:
                answers = list(pool.map(lambda host: ask(lab, host), hosts))
        finally:
            lab.down()
    return dict(zip(hosts, answers, strict=True))


@pytest.mark.scenario(98)
@pytest.mark.parametrize("name", PAIRS)
def test_a_foreign_judge_agrees_from_both_hosts(said: dict[str, str], name: str) -> None:
    nat = NATS[name]

    for host in hosts_of(name):
        assert f"NAT with {WORDS[nat.mapping]} Mapping!" in said[host]
        assert f"NAT with {WORDS[nat.filtering]} Filtering!" in said[host]


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


def ask(lab: Lab, host: str) -> str:
    own = ["-L", lab.plan().underlay[host]]
    mapping = [DISCOVERY, "-m", *own, "-l", str(MAPPING_PORT), FIRST]
    filtering = [DISCOVERY, "-f", *own, "-l", str(FILTERING_PORT), FIRST]
    return lab.run(host, mapping).stdout + lab.run(host, filtering).stdout
