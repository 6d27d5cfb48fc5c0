"""`python -m node up`: the arguments of a daemon."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from node.io.numbers import lifetime, port, seconds
from node.io.settings import PORT, WAYS, Settings

if TYPE_CHECKING:
    from node.wire.endpoint import Endpoint


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m node up", description="Run a node.")
    parser.add_argument("--netmap", required=True, metavar="F", help="netmap.json; SIGHUP re-reads")
    parser.add_argument(
        "--key", required=True, metavar="F", help="this node's key; its stamps: F.time"
    )
    parser.add_argument("--tun", required=True, metavar="NAME", help="the interface to make")
    parser.add_argument("--listen-port", type=port, default=PORT, metavar="N", help="UDP; 0: any")
    parser.add_argument("--control", metavar="F.sock", help="where to take requests")
    parser.add_argument("--ca", metavar="F", help="trust these CAs for relays, not the system's")
    parser.add_argument(
        "--proxy", metavar="URL", help="reach relays through this HTTP proxy; none: not HTTPS_PROXY"
    )
    parser.add_argument("--websocket", action="store_true", help="speak to relays in WebSockets")
    parser.add_argument("--events", default="-", metavar="F", help="append events there (- stdout)")
    parser.add_argument(
        "--endpoint",
        type=_endpoint,
        action="append",
        default=[],
        dest="endpoints",
        metavar="ADDRESS:PORT",
        help="tell peers to try there too, such as at a static forward; may be repeated",
    )
    parser.add_argument(
        "--port-mapping",
        type=lifetime,
        metavar="S",
        help="ask the router to map our port for so long (7200); 0: do not ask",
    )
    parser.add_argument(
        "--keylog", metavar="F", help="append WireGuard's keys there, to open captures with"
    )
    parser.add_argument(
        "--data-path",
        choices=("auto", *WAYS),
        default=os.environ.get("PUNCHLAB_DATA_PATH", "auto"),
        help="the loop around the cipher (auto: the fastest there is)",
    )
    parser.add_argument(
        "--rekey-after",
        type=seconds,
        metavar="S",
        help="new WireGuard keys so often (120), for tests",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="every ping and pong is an event too"
    )
    arguments = parser.parse_args(argv)
    if arguments.data_path not in ("auto", *WAYS):  # argparse does not look at a default
        *most, last = ("auto", *WAYS)
        known = f"{', '.join(most)} or {last}"
        parser.error(f"PUNCHLAB_DATA_PATH: {arguments.data_path!r} is not {known}")
    from node.io.head_start import start  # after the arguments are known to be good

    return start(Settings(**vars(arguments)))


def _endpoint(text: str) -> Endpoint:
    from node.wire.endpoint import parse_endpoint
    from node.wire.malformed import Malformed

    try:
        return parse_endpoint(text)
    except Malformed:
        raise argparse.ArgumentTypeError(f"{text!r} is not ADDRESS:PORT") from None
