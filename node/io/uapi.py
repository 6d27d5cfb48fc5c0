"""The socket by which `wg show` reads our node, where `wg` looks for it: FOLDER/<interface>.sock.

Reading only: the netmap says who the peers are, so whatever `wg` wants to set is refused. The answer has
the private key, as every WireGuard's has; the socket is for its owner alone.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from node.io.loop import Loop
from node.io.unix_server import Answer, SocketTaken, UnixServer
from node.wire.uapi import (
    END,
    INVALID,
    NOT_PERMITTED,
    Interface,
    pack_error,
    pack_interface,
    parse_request,
)

FOLDER = Path("/run/wireguard")


class Uapi:
    """Serves where the folder is: on a machine without WireGuard tools nobody would ask."""

    def __init__(self, loop: Loop, tun: str, look: Callable[[], Interface]) -> None:
        self._look = look
        self._server: UnixServer | None = None
        if not FOLDER.is_dir():
            return
        try:
            self._server = UnixServer(loop, str(FOLDER / f"{tun}.sock"), END, self._request)
        except SocketTaken as problem:
            print(f"node: wg cannot see {tun}: {problem}", file=sys.stderr)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def _request(self, raw: bytes, answer: Answer) -> None:
        match parse_request(raw):
            case "get":
                answer(pack_interface(self._look()))
            case "set":
                print("node: wg: nothing can be set here, the netmap rules", file=sys.stderr)
                answer(pack_error(NOT_PERMITTED))
            case "other":
                answer(pack_error(INVALID))
