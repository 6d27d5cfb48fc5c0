"""The puppets that measure: what they are told to send leaves, whatever became of what they sent before."""

from __future__ import annotations

from lab.judge.stage import Endpoint, Stage
from tests.lab.conftest import Up
from tests.lab.plans import A_ADDRESS, B_ADDRESS, A, B, two_hosts

MANY = 50
DISCARD = 9  # nobody listens there


def test_an_icmp_error_about_one_datagram_does_not_cost_the_next(up: Up) -> None:
    with Stage(up(two_hosts()).popen) as stage:
        mouth, ears = stage.open_all([(A, A_ADDRESS, 0), (B, B_ADDRESS, 0)])
        for number in range(MANY):
            mouth.send(Endpoint(ears.here.address, DISCARD), "anybody?")
            mouth.send(ears.here, f"{number}")

        stage.wait(lambda: len(ears.arrivals) >= MANY, 20.0)

    assert {each.text for each in ears.arrivals} == {f"{number}" for number in range(MANY)}
    assert mouth.refusals
