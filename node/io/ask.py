"""The questions to a running node: status, ping, netcheck, reload. Text for people, or `--json`.

Exit status: 0 it is so; 1 it did not come true (no reply, no direct path); 2 bad input; 3 no node.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import time
from collections.abc import Sequence
from typing import Any

from node.io.errors import BAD_INPUT
from node.io.numbers import count, seconds

DONE, NOT_TRUE, NO_NODE = 0, 1, 3
INTERVAL = 1.0  # seconds between pings, as ping(8)
DIRECT_WITHIN = 15.0  # seconds that `--until-direct` waits unless told otherwise
COUNT = 4
REPLY_WITHIN = 5.0  # seconds for one answer
GRACE = 2.0  # seconds more, in which a node that runs says that it has none


class NoNode(Exception):
    """Nobody answers at the control socket."""


class Node:
    """The other end of the control socket."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(path)
        except OSError as error:
            raise NoNode(f"no node answers at {path}: {error.strerror or error}") from None
        self._lines = self._socket.makefile("rb")

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self._socket.settimeout(request.get("timeout", REPLY_WITHIN) + GRACE)
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            line = self._lines.readline()
        except TimeoutError:
            raise NoNode("the node does not answer; is it stopped?") from None
        except OSError as error:
            raise NoNode(f"the node hung up: {error.strerror or error}") from None
        if not line:
            raise NoNode("the node hung up")
        try:
            answer: dict[str, Any] = json.loads(line)
        except ValueError:
            raise NoNode("what answers there is no node") from None
        return answer


def main(command: str, argv: Sequence[str]) -> int:
    arguments = _arguments(command, argv)
    try:
        node = Node(arguments.control)
        return _COMMANDS[command](node, arguments)
    except NoNode as problem:
        print(f"{command}: {problem}", file=sys.stderr)
        return NO_NODE
    except KeyboardInterrupt:
        return 130


def _arguments(command: str, argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m node {command}")
    parser.add_argument("--control", required=True, metavar="F.sock", help="of the running node")
    parser.add_argument("--json", action="store_true", help="one JSON document a line")
    if command == "ping":
        parser.add_argument("peer", help="a peer's name, overlay address or node key")
        parser.add_argument("--until-direct", action="store_true", help="stop at the first direct")
        parser.add_argument("--count", type=count, metavar="N", help=f"pings to send ({COUNT})")
        parser.add_argument("--timeout", type=seconds, metavar="S", help="seconds, all together")
    return parser.parse_args(argv)


def _status(node: Node, arguments: argparse.Namespace) -> int:
    status = node.ask({"do": "status"})
    if arguments.json:
        print(json.dumps(status))
        return DONE
    me = [
        _address(status),
        status["name"],
        f'home "{status["home"] or "none"}", data path {status["data_path"]}',
    ]
    rows = [me, *([_address(p), p["name"], _state(p)] for p in status["peers"])]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for address, name, state in rows:
        print(f"{address:<{widths[0]}}  {name:<{widths[1]}}  {state}")
    return DONE


def _address(machine: dict[str, Any]) -> str:
    """Some have none: a router of plain WireGuard's, say."""
    return str(next(iter(machine["addresses"]), "-"))


def _state(peer: dict[str, Any]) -> str:
    words = {"none": "-", "relay": f'relay "{peer["via"]}"'}
    path = words.get(peer["kind"], f"{peer['kind']} {peer['via']}")
    state = path if peer["kind"] == "none" else f"{'active' if peer['active'] else 'idle'}; {path}"
    traffic = f", tx {peer['tx_bytes']} rx {peer['rx_bytes']}"
    return state + (traffic if peer["tx_bytes"] or peer["rx_bytes"] else "")


def _netcheck(node: Node, arguments: argparse.Namespace) -> int:
    report = node.ask({"do": "netcheck", "timeout": REPLY_WITHIN})
    if arguments.json:
        print(json.dumps(report))
    elif "error" in report:
        print(f"netcheck: {report['error']}", file=sys.stderr)
    else:
        varies = {None: "unknown", True: "yes", False: "no"}[report["mapping_varies"]]
        print(f"UDP: {'yes' if report['udp'] else 'no'}")
        print(f"IPv4: {report['ipv4'] or 'no'}")
        print(f"IPv6: {report['ipv6'] or 'no'}")
        print(f"MappingVariesByDestIP: {varies}")
        print(f"PortMapping: {_port_mapping(report['port_mapping'])}")
        print(f"Nearest DERP: {report['preferred'] or 'none'}")
        for region, latency in sorted(report["latency_ms"].items(), key=lambda each: each[1]):
            print(f"  {region}: {latency:.1f} ms")
    return NOT_TRUE if "error" in report else DONE


def _port_mapping(state: dict[str, Any] | None) -> str:
    if state is None:
        return "none"
    if state["external"]:
        return f"{state['external']} by {state['protocol']}"
    return f"refused by {state['protocol']}: {state['why']}"


def _reload(node: Node, arguments: argparse.Namespace) -> int:
    answer = node.ask({"do": "reload"})
    if arguments.json:
        print(json.dumps(answer))
    elif "error" in answer:
        print(f"reload: {answer['error']}", file=sys.stderr)
    return BAD_INPUT if "error" in answer else DONE


def _ping(node: Node, arguments: argparse.Namespace) -> int:
    until_direct = bool(arguments.until_direct)
    timeout = arguments.timeout or (DIRECT_WITHIN if until_direct else float("inf"))
    count = arguments.count or (sys.maxsize if until_direct else COUNT)
    end = time.monotonic() + timeout
    last: dict[str, Any] | None = None
    for number in range(count):
        began = time.monotonic()
        if number and began >= end:  # one is sent in any case
            break
        answer = node.ask(
            {"do": "ping", "peer": arguments.peer, "timeout": min(REPLY_WITHIN, end - began)}
        )
        if "error" in answer and not answer.get("timeout"):
            print(f"ping: {answer['error']}", file=sys.stderr)
            return BAD_INPUT
        _print_pong(answer, arguments.json)
        last = last if "error" in answer else answer
        if until_direct and answer.get("kind") == "direct":
            return DONE
        if number + 1 < count:
            time.sleep(max(0.0, min(began + INTERVAL, end) - time.monotonic()))
    if not until_direct:
        return DONE if last else NOT_TRUE
    if not arguments.json:
        print(_no_direct_path(arguments.peer, last, timeout))
    return NOT_TRUE


def _print_pong(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer), flush=True)
    elif "error" in answer:
        print(answer["error"], flush=True)
    else:
        words = {"relay": f"DERP({answer['via']})", "peer-relay": f"peer-relay({answer['via']})"}
        via = words.get(answer["kind"], answer["via"])
        who = f"{answer['peer']} ({answer['address']})"
        print(f"pong from {who} via {via} in {answer['rtt_ms']:.1f} ms", flush=True)


def _no_direct_path(peer: str, last: dict[str, Any] | None, timeout: float) -> str:
    if last is None:
        return f"{peer} did not reply within {timeout:g} s"
    via = f"{'DERP' if last['kind'] == 'relay' else last['kind']}({last['via']})"
    return f"{last['peer']} stayed on {via}: no direct path within {timeout:g} s"


_COMMANDS = {"status": _status, "ping": _ping, "netcheck": _netcheck, "reload": _reload}
