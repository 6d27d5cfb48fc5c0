"""Does our handshaker find its way through people's NATs? Four of them, in double-nat."""

import json
from pathlib import Path
from typing import Any

import pytest

from lab.errors import NoEvent
from lab.pytest_plugin import Net, StartLab

PROGRAM = ["{{ python }}", str(Path(__file__).with_name("handshaker.py"))]
MEETING_PLACE = f"""
[host.meet]
runs = "command"
argv = {json.dumps([*PROGRAM, "meet", "7000"])}
ready = "ready"
"""
HARD = {"home-a": "symmetric", "home-b": "symmetric"}


def handshakers(*pair: str) -> dict[str, Any]:
    """In place of the two nodes. The relay is there for its STUN server."""
    words: dict[str, Any] = {"relay.nyc.args": ["--stun-for-all"]}
    for me, other in (pair, pair[::-1]):
        places = ["--stun", "nyc.derp.example:3478", "--meet", "meet:7000"]
        words[f"host.{me}.runs"] = "command"
        words[f"host.{me}.argv"] = [*PROGRAM, "punch", me, other, *places]
    return words


def greetings(net: Net) -> int:
    return len(net.events("node-a", "greeted"))


@pytest.mark.scenario(10)
def test_two_handshakers_connect_through_four_nats(lab: StartLab) -> None:
    net = lab("double-nat", set=handshakers("node-a", "node-b"), add=MEETING_PLACE)

    for one, other in (("node-a", "node-b"), ("node-b", "node-a")):
        net.lab.wait_for_path(one, other, "direct", within=20)

    net.unplug("meet")
    net.unplug("nyc")
    so_far = greetings(net)
    net.wait_for_event("node-a", "greeted", count=so_far + 5, within=20)


def test_two_symmetric_homes_keep_them_apart(lab: StartLab) -> None:
    net = lab("double-nat", nat=HARD, set=handshakers("node-a", "node-b"), add=MEETING_PLACE)

    net.wait_for_event("node-a", "endpoints", within=20)
    with pytest.raises(NoEvent):
        net.wait_for_event("node-a", "greeted", within=3)
