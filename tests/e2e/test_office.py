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
# After its last one ping stays for two round trips, or one more beat: what counts is what came before.
PING_ALL = 'count=$1; shift; for to; do ping -n -c"$count" -i0.1 -W2 "$to" & done; wait'
ANSWER = re.compile(r"bytes from (\S+): icmp_seq=(\d+) ")
COUNTED, TAIL = 40, 10


@pytest.mark.scenario(5)
def test_each_of_the_36_pairs_settles_where_it_can(lab: StartLab) -> None:
    net = lab("office")
    hosts = [host.name for host in net.lab.topology().hosts]
    expected = {pair: expect(net.lab.topology(), *pair).path for pair in combinations(hosts, 2)}

    talk = start_talking(net, hosts, count=COUNTED + TAIL)
    for one, other in (pair for pair, path in expected.items() if path == "direct"):
        net.lab.wait_for_path(one, other, "direct", within=BACK)
        net.lab.wait_for_path(other, one, "direct", within=BACK)
    assert heard(net, talk) == dict.fromkeys(expected, COUNTED)

    with net.without_relays():
        answers = heard(net, start_talking(net, hosts, count=5))
    assert {pair for pair, count in answers.items() if count} == {
        pair for pair, path in expected.items() if path == "direct"
    }
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
    """How many of the pings that count were answered, by who asked whom."""
    names = {net.node(host).overlay: host for host in talk}
    answered: dict[Pair, set[int]] = {pair: set() for pair in combinations(talk, 2)}
    for host, process in talk.items():
        for to, number in ANSWER.findall(process.communicate(timeout=120)[0]):
            answered[host, names[to]].add(int(number))
    return {pair: len([n for n in numbers if n <= COUNTED]) for pair, numbers in answered.items()}
