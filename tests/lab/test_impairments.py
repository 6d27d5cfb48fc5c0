"""Links that are bent: what is asked for is what packets meet, at once and in each direction by itself."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import replace
from itertools import islice, pairwise
from math import sqrt
from pathlib import Path
from statistics import median

import pytest

from lab.client import Lab
from lab.errors import BadRequest
from lab.model.layout import plan_of
from lab.model.link import LinkQuality, Shape
from lab.model.plan import Plan
from lab.model.topology import load
from tests.lab.conftest import Up
from tests.lab.oneway import one_way
from tests.lab.plans import A_ADDRESS, B_ADDRESS, A, B, two_hosts
from tests.lab.traces import traces_of

MACHINE = 10e-3  # seconds that a busy machine may add to the quickest of many


def bent(quality: LinkQuality) -> Plan:
    """Two hosts; the link of node-a is not perfect."""
    plan = two_hosts()
    wires = [replace(wire, quality=quality) if wire.name == A else wire for wire in plan.wires]
    return replace(plan, wires=tuple(wires))


def up_way(lab: Lab, **how: float) -> list[float]:
    return [each.took for each in one_way(lab, A, B, B_ADDRESS, **how)]  # type: ignore[arg-type]


def down_way(lab: Lab, **how: float) -> list[float]:
    return [each.took for each in one_way(lab, B, A, A_ADDRESS, **how)]  # type: ignore[arg-type]


def waits(took: list[float], delay: float) -> bool:
    """Most wait for as long as they should, and who was lucky with the machine no longer."""
    return median(took) >= delay >= min(took) - MACHINE


def expected(count: int, chance: float) -> object:
    """Within five standard deviations."""
    return pytest.approx(count * chance, abs=5 * sqrt(count * chance * (1 - chance)))


def test_a_link_is_what_its_topology_says(up: Up) -> None:
    lab = up(bent(LinkQuality(Shape(delay=0.03), Shape(delay=0.06))))
    lab.link(A)  # answered when the delay line answers: what comes before waits for its start

    assert waits(up_way(lab), 0.03)
    assert waits(down_way(lab), 0.06)


@pytest.mark.scenario(78)
def test_a_delay_changes_live_in_the_direction_named(up: Up) -> None:
    lab = up(two_hosts())
    assert waits(up_way(lab), 0)

    answer = lab.link(A, way="up", delay="40ms")

    assert answer["changed"] == ["delay 0 ms -> 40 ms (up)"]
    assert waits(up_way(lab), 0.04)
    assert waits(down_way(lab), 0)


def test_what_is_not_named_keeps_its_value_and_clean_ends_it_all(up: Up) -> None:
    lab = up(two_hosts())
    lab.link(A, delay="20ms", loss="1%")

    lab.link(A, loss="0%", way="down")
    [link] = [each for each in lab.links() if each["link"] == A]
    assert (link["up"]["delay"], link["up"]["loss"]) == (0.02, 0.01)
    assert (link["down"]["delay"], link["down"]["loss"]) == (0.02, 0.0)

    assert lab.link(A, clean=True)["link"]["words"] == "perfect"
    assert waits(up_way(lab), 0)
    assert lab.run("middle", ["nft", "list", "tables"]).stdout == ""
    assert lab.link(A, clean=True)["changed"] == []


@pytest.mark.scenario(78)
def test_a_flow_that_is_there_already_feels_the_change(up: Up) -> None:
    lab = up(two_hosts())
    argv = ["ping", "-n", "-U", "-D", "-i", "0.02", "-c", "3000", B_ADDRESS]
    with lab.popen(A, argv, stdout=subprocess.PIPE, text=True) as pinging:
        assert pinging.stdout is not None
        echoes = (  # when it was sent, and how many ms it took
            (float(found[1]) - float(found[2]) / 1e3, float(found[2]))
            for line in pinging.stdout
            if (found := re.search(r"\[(.*)\].*time=(.*) ms", line))
        )
        before = [took for _, took in islice(echoes, 10)]
        lab.link(A, way="down", delay="80ms")
        in_force = time.time()
        after = list(islice((took for sent, took in echoes if sent > in_force), 10))
        pinging.terminate()

    assert median(before) < 40
    assert median(after) >= 80


def test_jitter_varies_the_delay_and_keeps_the_order(up: Up) -> None:
    lab = up(bent(LinkQuality(up=Shape(delay=0.03, jitter=0.02))))
    lab.link(A)  # answered when the delay line answers

    arrivals = one_way(lab, A, B, B_ADDRESS, count=100, gap=0.02)

    took = [each.took for each in arrivals]
    assert min(took) >= 0.01 - 1e-3
    assert max(took) - min(took) >= 0.02
    assert [each.number for each in arrivals] == list(range(100))


def test_packets_overtake_only_where_they_are_told_to(up: Up) -> None:
    lab = up(bent(LinkQuality(up=Shape(delay=0.03, reorder=0.3))))

    numbers = [each.number for each in one_way(lab, A, B, B_ADDRESS, count=200, gap=0.002)]

    assert sorted(numbers) == list(range(200))
    # Who overtakes is there while a lower number is still to come.
    early = [each for place, each in enumerate(numbers) if each > min(numbers[place:])]
    assert len(early) == expected(200, 0.3)


@pytest.mark.scenario(78)
@pytest.mark.parametrize("burst", ["1", "4"])
def test_packets_are_lost_as_often_as_was_asked(up: Up, burst: str) -> None:
    lab = up(two_hosts())
    lab.link(A, way="up", loss="20%", burst=burst)

    numbers = [each.number for each in one_way(lab, A, B, B_ADDRESS, count=2000, gap=0.0005)]

    lost = sorted({*range(2000)} - {*numbers})
    # Losses in bursts of b vary as much as those of a link with 2b - 1 times fewer packets.
    spread = sqrt(2000 * 0.2 * 0.8 * (2 * int(burst) - 1))
    assert len(lost) == pytest.approx(400, abs=5 * spread)
    bursts = 1 + sum(later > earlier + 1 for earlier, later in pairwise(lost))
    assert len(lost) / bursts == pytest.approx({"1": 1.25, "4": 4.0}[burst], rel=0.4)
    assert len(down_way(lab, count=200, gap=0.0005)) == 200


def test_a_copy_of_a_packet_is_not_copied_again(up: Up) -> None:
    lab = up(two_hosts())
    lab.link(A, way="up", duplicate="50%")

    numbers = [each.number for each in one_way(lab, A, B, B_ADDRESS, count=500, gap=0.001)]

    assert len(set(numbers)) == 500
    assert len(numbers) - 500 == expected(500, 0.5)
    assert max(map(numbers.count, numbers)) == 2


@pytest.mark.scenario(78)
@pytest.mark.parametrize("rate", [2, 20])
def test_no_more_passes_than_the_rate(up: Up, rate: int) -> None:
    lab = up(two_hosts())
    lab.link(A, way="up", rate=f"{rate}mbit")
    size, frame = 1000, 1042  # with Ethernet, IP and UDP around it

    # More than passes at any moment, so that the link is never idle.
    arrivals = one_way(lab, A, B, B_ADDRESS, count=10**6, gap=0, size=size, seconds=1.5)

    late = [each for each in arrivals if each.at - arrivals[0].at > 0.3]  # the bucket was full
    bits = (len(late) - 1) * frame * 8
    # A bucket that a busy machine comes back to late has spilled; it never gives more.
    assert 0.25 * rate * 1e6 <= bits / (late[-1].at - late[0].at) <= 1.1 * rate * 1e6


def test_an_mtu_holds_at_both_ends(up: Up) -> None:
    lab = up(two_hosts())
    lab.link(A, mtu="1300")

    def fits(host: str, address: str, size: int) -> bool:
        argv = ["ping", "-n", "-c1", "-W1", "-M", "do", "-s", str(size - 28), address]
        return lab.run(host, argv).returncode == 0

    assert (fits(A, B_ADDRESS, 1300), fits(A, B_ADDRESS, 1301)) == (True, False)
    assert (fits(B, A_ADDRESS, 1300), fits(B, A_ADDRESS, 1301)) == (True, False)


def test_a_link_is_pulled_and_put_back_as_it_was(up: Up) -> None:
    lab = up(bent(LinkQuality(up=Shape(delay=0.02))))

    assert lab.link(A, plugged=False)["changed"] == ["unplugged"]
    assert lab.run(A, ["ping", "-n", "-c1", "-W1", B_ADDRESS]).returncode != 0
    assert lab.link(A, plugged=True)["changed"] == ["plugged in"]
    lab.run(A, ["ip", "neigh", "flush", "all"])  # who asked in vain asks again after a second
    assert waits(up_way(lab), 0.02)


def test_each_change_is_an_event(up: Up) -> None:
    lab = up(two_hosts())
    lab.link(B, delay="5ms")

    [event] = [each for each in lab.events() if each["event"] == "link"]
    assert (event["host"], event["changed"]) == (B, ["delay 0 ms -> 5 ms (both ways)"])


@pytest.mark.parametrize(
    ("link", "words", "told"),
    [
        ("node-c", {"delay": "1ms"}, 'there is no link node-c in this lab\ndid you mean "node-b"?'),
        (A, {"delay": "far"}, 'node-a: delay: "far" is not a quantity such as "20ms"'),
        (A, {"jitter": "9ms"}, "node-a: jitter: is longer than the delay that it varies"),
    ],
)
def test_bad_input_is_one_clear_line(up: Up, link: str, words: dict[str, str], told: str) -> None:
    lab = up(two_hosts())
    with pytest.raises(BadRequest) as caught:
        lab.link(link, **words)  # type: ignore[arg-type]

    assert str(caught.value) == told
    assert all(each["words"] == "perfect" for each in lab.links())


LAN = """
title = "A home with a NAT that gives each flow another port"

[router.home]
nat = "symmetric"

[host.laptop]
on = "home"

[host.printer]
on = "home"

[host.server]
"""


def home(folder: Path) -> Plan:
    (folder / "home.toml").write_text(LAN)
    return plan_of(load(str(folder / "home.toml")))


def test_a_link_in_a_lan_is_bent_for_its_own_machine_only(up: Up, tmp_path: Path) -> None:
    lab = up(home(tmp_path))
    where = lab.plan().underlay
    lab.link("laptop", way="up", delay="30ms")

    def way(a: str, b: str) -> list[float]:
        return [each.took for each in one_way(lab, a, b, where[b])]

    assert waits(way("laptop", "server"), 0.03)
    assert waits(way("laptop", "printer"), 0.03)
    assert waits(way("printer", "laptop"), 0)
    assert waits(way("printer", "server"), 0)


def test_ping_counts_the_wait_for_its_own_link(up: Up, tmp_path: Path) -> None:
    lab = up(home(tmp_path))
    lab.link("laptop", way="down", delay="30ms")

    said = lab.run("laptop", ["ping", "-n", "-c3", "-i0.1", lab.plan().underlay["server"]]).stdout

    assert all(float(each) >= 30 for each in re.findall("time=(.*) ms", said))
    assert said.count("time=") == 3


def test_packets_of_a_new_flow_that_wait_leave_from_one_port(up: Up, tmp_path: Path) -> None:
    lab = up(home(tmp_path))
    lab.link("laptop", delay="40ms")
    lab.link("home", delay="40ms")
    server = lab.plan().underlay["server"]
    listen = (
        "import socket\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.bind(('', 9000))\n"
        "print('listening', flush=True)\n"
        "print(*(s.recvfrom(99)[1][1] for _ in range(60)))\n"
    )
    send = (
        "import socket, sys\n"
        "for _ in range(20):\n"
        "    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "    for _ in range(3):\n"
        f"        s.sendto(b'x', ('{server}', 9000))\n"
        "    sockets = [*globals().get('sockets', []), s]\n"
    )
    with lab.popen(
        "server", ["python3", "-c", listen], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert lab.run("laptop", ["python3", "-c", send]).returncode == 0
        ports = process.stdout.readline().split()

    assert len(ports) == 60
    assert len(set(ports)) == 20


def test_a_delay_line_that_dies_is_started_again(up: Up) -> None:
    lab = up(bent(LinkQuality(up=Shape(delay=0.02))))
    lab.run(A, ["pkill", "-KILL", "-f", "lab.world.delayline"])

    for event in lab.events(follow=True):
        if event["event"] == "link":
            break

    assert event["problem"] == "the delay line ended"
    lab.link(A)  # answered when the new one answers
    assert waits(up_way(lab), 0.02)


def test_the_delay_line_ends_with_the_lab(up: Up) -> None:
    lab = up(bent(LinkQuality(up=Shape(delay=0.02))))
    traces = traces_of(lab.folder)
    assert len(traces.processes()) == 3  # the keeper, its parent, the delay line

    lab.down()

    assert traces.left() == {}
