"""What the tests over real sockets share: a loop, and a relay with a certificate of an authority's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from node.io.loop import Loop
from tests.node.running_relay import Authority, RunningRelay


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def relay(authority: Authority) -> Iterator[RunningRelay]:
    argv = ["--cert", str(authority.cert), "--key", str(authority.key), "--stun-port", "0"]
    relay = RunningRelay(*argv)
    yield relay
    assert relay.stop() == 0


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()
