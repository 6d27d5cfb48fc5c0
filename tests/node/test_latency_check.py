"""A relay's distance over HTTPS: one round trip after TLS, or None for whatever goes wrong."""

from __future__ import annotations

import socket
from pathlib import Path

from node.io.latency_check import LatencyCheck
from node.io.loop import Loop
from node.netmap import DerpNode
from tests.node.running_relay import PATIENCE, Authority, RunningRelay


def test_the_time_from_the_request_to_the_answer(relay: RunningRelay, authority: Authority) -> None:
    latency = measured(relay.node(), authority.ca)
    assert latency is not None
    assert 0 < latency < PATIENCE


def test_a_relay_that_is_not_who_it_should_be(relay: RunningRelay, tmp_path: Path) -> None:
    assert measured(relay.node(), Authority(tmp_path).ca) is None


def test_a_relay_that_is_not_there(relay: RunningRelay, authority: Authority) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        assert measured(relay.node(derp_port=port), authority.ca) is None


def test_a_relay_that_does_not_answer(relay: RunningRelay, authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        assert measured(relay.node(derp_port=port), authority.ca, within=0.1) is None


def test_one_that_was_called_off_says_nothing(relay: RunningRelay, authority: Authority) -> None:
    loop = Loop()
    said: list[float | None] = []
    LatencyCheck(loop, relay.node(), str(authority.ca), None, said.append).cancel()
    loop.at(loop.now() + 0.1, loop.stop)
    loop.run()
    loop.close()
    assert said == []


# --- what the tests are made of ---


def measured(node: DerpNode, ca: Path, within: float = PATIENCE) -> float | None:
    loop = Loop()
    said: list[float | None] = []

    def done(latency: float | None) -> None:
        said.append(latency)
        loop.stop()

    LatencyCheck(loop, node, str(ca), None, done, within)
    loop.run()
    loop.close()
    [latency] = said
    return latency
