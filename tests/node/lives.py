"""Cores that live through everything that can happen to them, so that their states can be drawn.

Each life has a state and steps: things that may happen now, by the name that the drawing gives them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Protocol, TypeAlias

from node.core.http_upgrade import switching_protocols
from node.core.path_outputs import kind_of
from node.core.paths import Output, Paths, SendPing
from node.core.relay_client import Phase, RelayClient
from node.core.relay_server import RelayServer
from node.core.relays import Relays
from node.core.ways import PeerRelayed, Way
from node.wire import derp
from node.wire.derp_login import ServerDetails, seal
from node.wire.endpoint import Endpoint
from tests.node.relay_rig import FAST, SERVER, A, B, Rig, client_info, fixed_random

Steps: TypeAlias = dict[str, Callable[[], object]]

DIRECT = Endpoint("203.0.113.20", 41641)
DETOUR = PeerRelayed(Endpoint("198.51.100.30", 7777), vni=1)


class Life(Protocol):
    @property
    def state(self) -> str: ...

    def steps(self) -> Steps: ...


class PathLife:
    """The path to one peer (node.core.paths)."""

    def __init__(self, dice: Random) -> None:
        self._paths = Paths(random=dice.randbytes)
        self._dice = dice
        self._now = 100.0
        self._pings: list[SendPing] = []
        self._hear(self._paths.add_candidates([DIRECT], self._now))
        self._hear(self._paths.add_peer_relay(DETOUR, self._now))

    @property
    def state(self) -> str:
        kind = kind_of(self._paths.path)
        return kind if kind == "relay" or self._paths.trusted(self._now) else f"{kind}, mirrored"

    def steps(self) -> Steps:
        steps: Steps = {
            "data sent": self._send,
            "a ping unanswered": self._wait,
            "sending fails": lambda: self._hear(self._paths.endpoint_failed(DIRECT, self._later())),
            "own link changed": lambda: self._hear(self._paths.reset(self._later())),
            "data by the relay": lambda: self._hear(self._paths.data_received(None, self._later())),
        }
        for way, name in ((DIRECT, "pong"), (DETOUR, "pong through a third node")):
            if ping := self._last_ping(way):
                steps[name] = partial(self._pong, ping)
        return steps

    def _send(self) -> None:
        self._hear(self._paths.data_sent(self._later())[1])

    def _wait(self) -> None:
        if self._paths.deadline is not None:
            self._now = max(self._now, self._paths.deadline)
            self._pings.clear()  # nobody answers any more what was sent before
            self._hear(self._paths.tick(self._now))

    def _pong(self, ping: SendPing) -> None:
        self._pings.remove(ping)
        self._hear(self._paths.receive_pong(ping.txid, self._later()))

    def _last_ping(self, way: Way) -> SendPing | None:
        return next((ping for ping in reversed(self._pings) if ping.to == way), None)

    def _later(self) -> float:
        self._now += self._dice.uniform(0.001, 0.02)
        return self._now

    def _hear(self, outputs: list[Output]) -> None:
        self._pings += [output for output in outputs if isinstance(output, SendPing)]


class RelayLife:
    """A node's connection to the relay of one region, home or not (node.core.relays)."""

    HERE, ELSEWHERE = 900, 901

    def __init__(self, dice: Random) -> None:
        self._relays = Relays(dice.randbytes)
        self._now = 0.0
        self._relays.set_regions([self.HERE, self.ELSEWHERE], self._now)

    @property
    def state(self) -> str:
        return type(self._relays._relays[self.HERE].state).__name__.lower()

    def steps(self) -> Steps:
        relays, now = self._relays, self._now
        steps: Steps = {
            "packets for it": lambda: relays.send(self.HERE, B.public, [b"data"], now),
            "a netcheck makes it home": lambda: relays.prefer([self.HERE], now),
            "a netcheck prefers another": self._prefer_another,
            "own link changed": lambda: relays.link_changed(now),
        }
        if self.state == "dialling":
            steps["connected"] = lambda: relays.connected(self.HERE, now)
        if self.state in ("dialling", "up"):
            steps["lost"] = lambda: relays.lost(self.HERE, now)
        if self.state == "waiting":
            steps["back-off over"] = lambda: self._wait(5)
        if self.state == "up":
            steps["a minute without packets"] = lambda: self._wait(61)
        return steps

    def _prefer_another(self) -> None:
        self._relays.prefer([self.ELSEWHERE], self._now)
        self._relays.connected(self.ELSEWHERE, self._now)

    def _wait(self, most: float) -> None:
        until = self._now + most
        while (deadline := self._relays.deadline) is not None and deadline <= until:
            self._now = max(self._now, deadline)
            before = self.state
            self._relays.tick(self._now)
            if self.state != before:
                return
        self._now = until


class ClientLife:
    """A client's side of one DERP connection (node.core.relay_client)."""

    def __init__(self, dice: Random) -> None:
        self._client = RelayClient(A, "derp.test", random=fixed_random)
        self._now = 0.0

    @property
    def state(self) -> str:
        return self._client.phase.name.lower().replace("_", " ")

    def steps(self) -> Steps:
        client, now = self._client, self._now
        if client.phase is Phase.NEW:
            return {
                "start, slow": lambda: client.start(None, now),
                "start, fast": lambda: client.start(SERVER.public, now),
            }
        if client.phase is Phase.DOWN:
            return {}
        frames = {
            "101": switching_protocols(SERVER.public),
            "ServerKey": derp.ServerKey(SERVER.public).pack(),
            "ServerInfo": derp.ServerInfo(
                seal(ServerDetails().pack(), bytes(24), SERVER, A.public)
            ).pack(),
        }
        awaited = {"answer": "101", "server key": "ServerKey", "server info": "ServerInfo"}
        steps: Steps = {
            "closed": lambda: client.closed("hung up"),
            "silence": self._wait,
            "nonsense": lambda: client.receive(b"\x02\xff\xff\xff\xff nonsense\r\n\r\n", now),
        }
        if name := awaited.get(self.state):
            steps[name] = lambda: client.receive(frames[name], now)
        return steps

    def _wait(self) -> None:
        if self._client.deadline is not None:
            self._now = self._client.deadline
            self._client.tick(self._now)


class ServerLife:
    """The relay's side of one DERP connection (node.core.relay_server)."""

    def __init__(self, dice: Random) -> None:
        asks_outside = dice.random() < 0.5
        self._rig = Rig(RelayServer(SERVER, random=fixed_random, verify_outside=asks_outside))
        self._link = self._rig.connect()

    @property
    def state(self) -> str:
        return self._link.phase.name.lower()

    def steps(self) -> Steps:
        rig, link = self._rig, self._link
        if self.state == "gone":
            return {}
        steps: Steps = {
            "hung up": lambda: rig.hang_up(link),
            "too slow": self._wait,
            "nonsense": lambda: rig.feed(link, b"\x02\xff\xff\xff\xff nonsense\r\n\r\n"),
        }
        if self.state == "http":
            steps["request"] = lambda: rig.feed(link, FAST)
        if self.state == "auth":
            steps["ClientInfo"] = lambda: rig.feed(link, client_info(A))
        if self.state == "verify":
            steps["admitted"] = lambda: rig.handle(rig.server.verified(link, True, rig.now))
            steps["refused"] = lambda: rig.handle(rig.server.verified(link, False, rig.now))
        return steps

    def _wait(self) -> None:
        if self._rig.server.deadline is not None:
            self._rig.tick(self._rig.server.deadline)
