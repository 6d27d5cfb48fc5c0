"""A relay connection that falls silent: a second one beside it, and the first to answer stays."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest
from msgspec.structs import replace

from node.core import relay_client
from node.core.relay_events import Event, RelayDown, RelayPong, RelayUp
from node.io.loop import READ, Loop
from node.io.relay_links import OVERTAKEN, RelayLinks
from node.netmap import DerpNode, DerpRegion
from tests.node.running_relay import PATIENCE, RunningRelay, new_key

REGION = 1


@pytest.fixture(scope="module")
def relay() -> Iterator[RunningRelay]:
    relay = RunningRelay("--self-signed", "--stun-port", "0")
    yield relay
    assert relay.stop() == 0


@pytest.fixture
def town(relay: RunningRelay, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """Its node gives up a silent connection long after it has opened a second one, however late that is."""
    monkeypatch.setattr(relay_client, "PING_TIMEOUT", 3 * PATIENCE)
    town = Town(relay)
    yield town
    town.close()


def test_a_connection_that_leads_nowhere_is_overtaken(town: Town) -> None:
    town.run_until(lambda: town.heard == [up(town)])

    town.swallow()  # as a NAT that was rebooted: neither end is told
    town.links.probe(REGION)
    town.run_until(lambda: len(town.heard) == 3)

    assert town.heard == [up(town), RelayDown(OVERTAKEN, retry=True), up(town)]
    town.links.probe(REGION)
    town.run_until(lambda: len(town.heard) == 4)
    assert isinstance(town.heard[3], RelayPong)  # the second one has its place


def test_a_relay_that_stood_still_for_a_while_keeps_its_connection(town: Town) -> None:
    town.run_until(lambda: town.heard == [up(town)])

    town.relay.process.send_signal(signal.SIGSTOP)
    town.links.probe(REGION)
    town.run_until(lambda: town.connections == 2)  # beside the first
    town.relay.process.send_signal(signal.SIGCONT)
    town.run_until(lambda: len(town.heard) == 2)

    assert isinstance(town.heard[1], RelayPong)
    assert town.relay.metric("derp_gauge_clients_local") == 1


def test_a_second_one_is_called_off_with_the_first(town: Town) -> None:
    town.run_until(lambda: town.heard == [up(town)])

    town.swallow()
    town.links.probe(REGION)
    town.run_until(lambda: town.connections == 2)
    town.links.close(REGION)
    town.run_for(0.1)

    assert town.heard == [up(town)]


def test_each_attempt_goes_to_the_next_server_of_the_region_and_none_to_one_for_stun() -> None:
    loop, heard, unused = Loop(), list[str](), socket.socket()
    unused.bind(("127.0.0.1", 0))  # it is ours, and nobody listens
    port = unused.getsockname()[1]
    one, two, three = (
        DerpNode(f"1{each}", REGION, f"{each}.derp.test", "127.0.0.1", derp_port=port)
        for each in "abc"
    )

    def hear(_region: int, server: str, event: Event) -> None:
        assert isinstance(event, RelayDown)
        heard.append(server)
        loop.stop()

    links = RelayLinks(loop, new_key(), None, hear)
    nodes = (one, replace(two, stun_only=True), three)
    links.regions = {REGION: DerpRegion(REGION, "nyc", nodes)}
    for _ in range(3):
        links.connect(REGION)
        loop.run()
    loop.close()
    unused.close()
    assert heard == ["a.derp.test", "c.derp.test", "a.derp.test"]


# --- what the tests are made of ---


def up(town: Town) -> RelayUp:
    return RelayUp(town.relay.key)


class Town:
    """One node's links to a relay, over a router that can forget the connections through it."""

    def __init__(self, relay: RunningRelay) -> None:
        self.relay, self.loop = relay, Loop()
        self.heard: list[Event] = []
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.loop.watch(self._listener.fileno(), READ, self._accept)
        port = self._listener.getsockname()[1]
        node = relay.node(derp_port=port, insecure_for_tests=True)
        self.links = RelayLinks(self.loop, new_key(), None, self._hear)
        self.links.regions = {REGION: DerpRegion(REGION, "nyc", (node,))}
        self.links.connect(REGION)

    @property
    def connections(self) -> int:
        return len(self._pairs)

    def swallow(self) -> None:
        for pair in self._pairs:
            for each in pair:
                self.loop.forget(each.fileno())

    def run_until(self, wanted: Callable[[], bool]) -> None:
        guard = self.loop.at(self.loop.now() + PATIENCE, self.loop.stop)
        while not wanted():
            self.loop.run()
            assert guard.when > self.loop.now(), f"waited in vain; so far: {self.heard}"
        guard.cancel()

    def run_for(self, seconds: float) -> None:
        self.loop.at(self.loop.now() + seconds, self.loop.stop)
        self.loop.run()

    def close(self) -> None:
        self.links.close_all()
        self.loop.close()
        self._listener.close()
        for pair in self._pairs:
            for each in pair:
                each.close()

    def _hear(self, _region: int, _server: str, event: Event) -> None:
        self.heard.append(event)
        self.loop.stop()

    def _accept(self, _events: int) -> None:
        near, far = self._listener.accept()[0], self.relay.tcp()
        self._pairs.append((near, far))
        for source, sink in ((near, far), (far, near)):
            self.loop.watch(source.fileno(), READ, partial(self._carry, source, sink))
        self.loop.stop()

    def _carry(self, source: socket.socket, sink: socket.socket, _events: int) -> None:
        try:
            data = source.recv(65536)
            sink.sendall(data)
        except OSError:  # reset: one of the ends has closed it
            data = b""
        if not data:
            self.loop.forget(source.fileno())
            with suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
