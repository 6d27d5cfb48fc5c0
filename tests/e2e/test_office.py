"""Nine homes with nine kinds of NAT, everybody with everybody: each path is what the NATs allow."""

from __future__ import annotations

import re
import subprocess
from itertools import combinations

import pytest

from lab.model.verdict import expect
from lab.pytest_plugin import Net, StartLab
from tests.e2e.pairs import BACK

Pair = tuple[str, str]
PING_ALL = 'count=$1; shift; for to; do ping -nq -c"$count" -i0.1 -W2 "$to" & done; wait'
ANSWERS = re.compile(r"--- (\S+) ping statistics ---\n\d+ packets transmitted, (\d+) received")


@pytest.mark.scenario(5)
def test_each_of_the_36_pairs_settles_where_it_can(lab: StartLab) -> None:
    net = lab("office")
    hosts = [host.name for host in net.lab.topology().hosts]
    expected = {pair: expect(net.lab.topology(), *pair).path for pair in combinations(hosts, 2)}

    talk = start_talking(net, hosts, count=50)
    for one, other in (pair for pair, path in expected.items() if path == "direct"):
        net.lab.wait_for_path(one, other, "direct", within=BACK)
        net.lab.wait_for_path(other, one, "direct", within=BACK)
    assert heard(net, talk) == dict.fromkeys(expected, 50)

    with net.without_relays():
        answers = heard(net, start_talking(net, hosts, count=5))
    assert answers == {pair: 5 if path == "direct" else 0 for pair, path in expected.items()}
    assert set(expected.values()) == {"direct", "relay"}
    assert len(expected) == 36


def start_talking(net: Net, hosts: list[str], count: int) -> dict[str, subprocess.Popen[str]]:
    """Each host pings those that come after it, all at once."""
    overlay = [net.node(host).overlay for host in hosts]
    return {
        host: net.lab.popen(
            host,
            ["sh", "-c", PING_ALL, "sh", str(count), *overlay[number + 1 :]],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number, host in enumerate(hosts)
    }


def heard(net: Net, talk: dict[str, subprocess.Popen[str]]) -> dict[Pair, int]:
    """Answers, by who asked whom."""
    names = {net.node(host).overlay: host for host in talk}
    told = {host: process.communicate(timeout=60)[0] for host, process in talk.items()}
    return {
        (host, names[to]): int(answers)
        for host, text in told.items()
        for to, answers in ANSWERS.findall(text)
    }
