"""What can be asked of a running node over its control socket.

{"do": "status"}                                    the status, as node.core.status has it
{"do": "ping", "peer": "node-b", "timeout": 5}      the first pong, or {"error": "no reply ..."}
{"do": "netcheck", "timeout": 5}                    a fresh report
{"do": "reload"}                                    {"done": true}, or what is wrong with the file
"""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from node.core.actions import Answered
from node.core.surroundings import report_event
from node.core.ways import PeerRelayed
from node.io.control import Answer
from node.io.errors import Refused
from node.wire.endpoint import Endpoint

if TYPE_CHECKING:
    from node.io.daemon import Daemon

TIMEOUT = 5.0  # seconds, when the request names none
LONGEST = 60.0
LOOK_AGAIN = 0.05  # seconds between looks at a netcheck under way


class Requests:
    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._numbers = count(1)
        self._waiting: dict[int, Answer] = {}

    def handle(self, request: dict[str, Any], answer: Answer) -> None:
        match request.get("do"):
            case "status":
                answer(self._status())
            case "ping":
                self._ping(request, answer)
            case "netcheck":
                self._netcheck(_timeout(request), answer)
            case "reload":
                self._reload(answer)
            case other:
                known = "status, ping, netcheck, reload"
                answer({"error": f"cannot do {other!r}; what can be done: {known}"})

    def _status(self) -> dict[str, Any]:
        """The mesh's, with what is counted around it."""
        status: dict[str, Any] = to_builtins(self._daemon.mesh.status(self._daemon.loop.now()))
        status["counters"] |= self._daemon.counters
        return status

    def answered(self, answered: Answered) -> None:
        answer = self._waiting.pop(answered.ask, None)
        peer = self._daemon.mesh.roster.get(answered.peer)
        if answer is None or peer is None:
            return
        match answered.via:
            case int(region):
                kind, via = "relay", self._code(region)
            case PeerRelayed():
                kind, via = "peer-relay", str(answered.via)
            case Endpoint():
                kind, via = "direct", str(answered.via)
        answer(
            {
                "peer": peer.name,
                "address": next(iter(peer.config.addresses), ""),
                "kind": kind,
                "via": via,
                "rtt_ms": round(1000 * answered.rtt, 3),
            }
        )

    def _ping(self, request: dict[str, Any], answer: Answer) -> None:
        word = str(request.get("peer"))
        peer = self._daemon.mesh.roster.find(word)
        if peer is None:
            names = ", ".join(each.name for each in self._daemon.mesh.roster) or "none"
            return answer({"error": f"no peer {word!r}; the peers are: {names}"})
        if peer.is_plain:
            word = "plain WireGuard, which answers no disco ping"
            instead = next(iter(peer.config.addresses), "an address behind it")
            return answer({"error": f"{peer.name} is {word}; try: ping {instead}"})
        number, loop = next(self._numbers), self._daemon.loop
        self._waiting[number] = answer
        loop.at(loop.now() + _timeout(request), partial(self._give_up, number, peer.name))
        return self._daemon.perform(self._daemon.mesh.ping(number, peer.key, loop.now()))

    def _give_up(self, number: int, name: str) -> None:
        answer = self._waiting.pop(number, None)
        if answer is not None:
            answer({"error": f"no reply from {name}", "timeout": True})

    def _netcheck(self, timeout: float, answer: Answer) -> None:
        daemon = self._daemon
        before = daemon.mesh.surroundings.report
        daemon.perform(daemon.mesh.check_network(daemon.loop.now()))
        give_up = daemon.loop.now() + timeout

        def look() -> None:
            report = daemon.mesh.surroundings.report
            if report is not None and report is not before:
                fields = report_event(report, daemon.mesh.surroundings.codes).fields
                state = daemon.mapper.state if daemon.mapper else None
                answer({**fields, "port_mapping": state.fields() if state else None})
            elif daemon.loop.now() >= give_up:
                answer({"error": f"no report within {timeout:g} s", "timeout": True})
            else:
                daemon.loop.at(daemon.loop.now() + LOOK_AGAIN, look)

        look()

    def _reload(self, answer: Answer) -> None:
        try:
            self._daemon.reload()
        except Refused as refused:
            return answer({"error": str(refused)})
        return answer({"done": True})

    def _code(self, region: int) -> str:
        known = self._daemon.netmap.regions.get(region)
        return known.region_code if known else str(region)


def _timeout(request: dict[str, Any]) -> float:
    value = request.get("timeout", TIMEOUT)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return min(LONGEST, max(0.1, float(value))) if is_number else TIMEOUT
