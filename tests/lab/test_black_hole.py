"""A link that loses ICMP errors: who sends too much, or to nobody, is never told. Either way alone."""

from __future__ import annotations

import pytest

from lab.client import Lab
from lab.errors import BadRequest
from lab.model.errors import TopologyError
from lab.model.link import Shape
from lab.model.topology import loads
from tests.lab.conftest import Up

HOME = """
router.home.nat = "icmp-blackhole"
host.inside.on = "home"
host.outside = {}
"""
PATIENCE, SILENCE = 20.0, 0.5  # seconds: for an error that comes, and for one that must not
TWO = 'title = "two"\n[host.here]\nipv6 = true\n[host.there]\nipv6 = true\n'


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
def test_nobody_learns_that_a_port_is_closed(up: Up, family: str) -> None:
    lab = up(loads(TWO, "two.toml"))
    assert told_of_a_closed_port(lab, family)

    lab.link("here", way="up", icmp="drop")
    assert told_of_a_closed_port(lab, family)  # the error comes down
    lab.link("here", way="down", icmp="drop")
    assert not told_of_a_closed_port(lab, family, within=SILENCE)
    assert (
        lab.run("here", ["ping", "-c1", "-W1", "there"]).returncode == 0
    )  # no error, so it passes

    lab.link("here", icmp="pass")
    assert told_of_a_closed_port(lab, family)


def test_nobody_learns_how_large_a_packet_may_be(up: Up) -> None:
    lab = up(loads(TWO, "two.toml"))
    lab.link("there", mtu=1300)
    lab.link("here", way="down", icmp="drop")
    assert largest_known(lab) == "1500"

    lab.link("here", icmp="pass")
    assert largest_known(lab) == "1300"


def test_it_comes_back_through_a_nat_to_the_host_inside_unless_the_nat_is_the_black_hole(
    up: Up,
) -> None:
    lab = up(loads(HOME, "home.toml"))
    lab.link("outside", mtu=1300)
    assert told_of_the_size(lab, within=SILENCE) == ("silence", 1500)

    for nat in ("port-restricted-cone", "full-cone", "symmetric"):
        lab.nat("home", nat)
        assert told_of_the_size(lab) == ("EMSGSIZE", 1300)
    lab.nat("home", "icmp-blackhole")
    assert told_of_the_size(lab, within=SILENCE) == ("silence", 1500)


def test_it_is_a_word_of_a_topology_too() -> None:
    read = loads(TWO + '[link.here]\ndown = { icmp = "drop" }\n', "two.toml")
    assert (read.links["here"].up, read.links["here"].down) == (Shape(), Shape(icmp="drop"))

    with pytest.raises(
        TopologyError, match=r'link\.here\.icmp: "lose" is neither "pass" nor "drop"'
    ):
        loads(TWO + '[link.here]\nicmp = "lose"\n', "two.toml")


def test_a_live_change_says_what_changed_and_refuses_other_words(up: Up) -> None:
    lab = up(loads(TWO, "two.toml"))

    answer = lab.link("here", way="up", icmp="drop")
    assert answer["changed"] == ["icmp pass -> drop (up)"]
    assert answer["link"]["words"] == "icmp drop (up)"
    assert answer["link"]["by"] == ["icmp: nf_tables"]
    with pytest.raises(BadRequest, match='here: icmp: "lose" is neither "pass" nor "drop"'):
        lab.link("here", icmp="lose")


def told_of_a_closed_port(lab: Lab, family: str, within: float = PATIENCE) -> bool:
    script = (
        "import socket\n"
        f"[(*_, there), *_] = socket.getaddrinfo('there', 9, socket.{family}, socket.SOCK_DGRAM)\n"
        f"with socket.socket(socket.{family}, socket.SOCK_DGRAM) as s:\n"
        "    s.connect(there)\n"
        f"    s.settimeout({within})\n"
        "    s.send(b'x')\n"
        "    s.recv(1)\n"
    )
    said = lab.run("here", ["python3", "-c", script]).stderr
    assert "ConnectionRefusedError" in said or "TimeoutError" in said, said
    return "ConnectionRefusedError" in said


def largest_known(lab: Lab) -> str:
    """The path MTU that the kernel of `here` holds for `there` after a large packet."""
    there = lab.plan().underlay["there"]
    lab.run("here", ["ping", "-n", "-c2", "-i0.1", "-W1", "-M", "do", "-s1400", there])
    words = lab.run("here", ["ip", "route", "get", there]).stdout.split()
    return words[words.index("mtu") + 1] if "mtu" in words else "1500"


def told_of_the_size(lab: Lab, within: float = PATIENCE) -> tuple[str, int]:
    """What an inside socket hears after a large datagram, and the path MTU that it then knows."""
    script = (
        "import errno, socket\n"
        "IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_MTU = 10, 2, 14\n"
        "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n"
        "    s.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)\n"
        "    s.connect(('outside', 9))\n"
        f"    s.settimeout({within})\n"
        "    s.send(bytes(1400))\n"
        "    try: s.recv(1)\n"
        "    except TimeoutError: print('silence')\n"
        "    except OSError as told: print(errno.errorcode[told.errno])\n"
        "    print(s.getsockopt(socket.IPPROTO_IP, IP_MTU))\n"
    )
    assert lab.run("inside", ["ip", "route", "flush", "cache"]).returncode == 0  # what it learnt
    heard, mtu = lab.run("inside", ["python3", "-c", script]).stdout.split()
    return heard, int(mtu)
